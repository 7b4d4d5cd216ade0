/*
 * buildinfo.h - what this program was made of
 */
#pragma once

typedef struct BuildInfo {
    const char *version;   /* of the project */
    const char *commit;    /* git describe when it was configured, "unknown" */
    const char *compiler;  /* with its version */
    const char *sanitizer; /* "address,undefined", "none", ... */
} BuildInfo;

/** buildinfo_get() - static, never NULL. */
const BuildInfo *buildinfo_get(void);
