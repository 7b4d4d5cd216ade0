/*
 * ops/kit/logger.h without a log: the simulation's cells warn of every bad
 * record and every death, thousands a second, and a log has a clock in it.
 * COMB_SIM_LOG=1 shows the lines, without their time.
 */
#include "ops/kit/logger.h"

#include <stdio.h>

void
logger_write(LoggerSite *site, LoggerLevel level, const char *area,
             const char *words, const char *fields, ...)
{
    (void)site;
    if (level == LOGGER_INFO || g_getenv("COMB_SIM_LOG") == NULL) {
        return;
    }
    va_list args;
    va_start(args, fields);
    printf("       %s %s ", area, words);
    vprintf(fields, args);
    printf("\n");
    va_end(args);
}

char *
logger_quote(const char *value)
{
    return g_strescape(value != NULL ? value : "", NULL);
}

char *
logger_quote_reason(const char *reason)
{
    return logger_quote(reason);
}
