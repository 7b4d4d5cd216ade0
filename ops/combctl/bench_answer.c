#include "ops/combctl/bench_answer.h"

#include "thrift/frame.h"

/* Field ids of dashboard.thrift and types.thrift. */
enum { PAGE_ENTRIES = 1, PAGE_OLDER = 2, PAGE_END = 4, PAGE_COMPLETE = 5 };
enum { ENTRY_POST = 1 };
enum { POSTS_FOUND = 1, POSTS_MISSING = 2 };
enum { POST_ID = 1, POST_AUTHOR = 2 };
#define STRICT_VERSION 0x8001u
#define PAGE_END_MORE 1
#define PAGE_END_MAX 3

static const char *const names[ANSWER_KINDS] = {
    [ANSWER_GOOD] = "good",
    [ANSWER_INVALID] = "invalid",
    [ANSWER_NOT_HOMED] = "not_homed",
    [ANSWER_OVERLOADED] = "overloaded",
    [ANSWER_DEADLINE] = "deadline",
    [ANSWER_UNAVAILABLE] = "unavailable",
    [ANSWER_NOT_FOUND] = "not_found",
    [ANSWER_DENIED] = "denied",
    [ANSWER_APPLICATION] = "application",
    [ANSWER_MALFORMED] = "malformed",
};

const char *
answer_name(AnswerKind kind)
{
    return names[kind];
}

/* ---- as far as needed ---- */

/* Up to `complete`: what comes after the entries is short. */
static void
scan_page(WireReader *reader, Answer *answer)
{
    WireField field = {WIRE_STOP, 0};
    gboolean listed = FALSE;
    while (wire_read_field(reader, &field) && field.id != PAGE_COMPLETE) {
        if (field.id == PAGE_ENTRIES && field.type == WIRE_LIST) {
            WireReader count = *reader;
            WireType type;
            answer->entries = wire_read_list(&count, &type);
            listed = TRUE;
        }
        wire_skip(reader, field.type);
    }
    answer->complete = field.id == PAGE_COMPLETE && wire_read_bool(reader);
    if (!listed) {
        answer->fault = "no list of entries in a page";
    }
}

static void
scan_posts(WireReader *reader, Answer *answer)
{
    WireField field;
    WireType type;
    answer->complete = TRUE;
    if (!wire_read_field(reader, &field) || field.id != POSTS_FOUND ||
        field.type != WIRE_LIST) {
        answer->fault = "no list of posts";
        return;
    }
    answer->entries = wire_read_list(reader, &type);
}

/* ---- whole ---- */

/* FALSE: it is no post with id, author and body. */
static gboolean
check_post(WireBytes value, gint64 *ret_id)
{
    WireReader reader;
    WireField field;
    guint seen = 0;
    wire_reader_init(&reader, value.data, value.len);
    while (wire_read_field(&reader, &field)) {
        if (field.id == POST_ID && field.type == WIRE_I64) {
            *ret_id = wire_read_i64(&reader);
            seen |= *ret_id > 0 ? 1u : 0u;
        } else if (field.id == POST_AUTHOR && field.type == WIRE_I64) {
            seen |= wire_read_i64(&reader) > 0 ? 2u : 0u;
        } else {
            wire_skip(&reader, field.type);
        }
    }
    return !reader.failed && seen == 3;
}

/* An Entry: its post must be one; returns its id, 0 where it is not. */
static gint64
check_entry(WireBytes value)
{
    WireReader reader;
    WireField field;
    gint64 id = 0;
    wire_reader_init(&reader, value.data, value.len);
    while (wire_read_field(&reader, &field)) {
        WireBytes inner = wire_read_value(&reader, field.type);
        if (field.id == ENTRY_POST &&
            (field.type != WIRE_STRUCT || !check_post(inner, &id))) {
            return 0;
        }
    }
    return reader.failed ? 0 : id;
}

static const char *
check_entries(WireReader *reader, const AnswerAsked *asked, guint32 *ret_n)
{
    WireType type;
    guint32 n = wire_read_list(reader, &type);
    gint64 newer = G_MAXINT64;
    *ret_n = n;
    if (n > asked->limit) {
        return "more entries than were asked for";
    }
    for (; n > 0 && !reader->failed; n--) {
        gint64 id = check_entry(wire_read_value(reader, WIRE_STRUCT));
        if (id == 0) {
            return "an entry without a whole post";
        }
        if (id >= newer) {
            return "entries are not newest first";
        }
        newer = id;
    }
    return reader->failed ? "entries that do not decode" : NULL;
}

static void
check_page(WireReader *reader, const AnswerAsked *asked, Answer *answer)
{
    WireField field;
    gint32 end = 0;
    gboolean older = FALSE;
    while (answer->fault == NULL && wire_read_field(reader, &field)) {
        if (field.id == PAGE_ENTRIES && field.type == WIRE_LIST) {
            answer->fault = check_entries(reader, asked, &answer->entries);
        } else if (field.id == PAGE_OLDER && field.type == WIRE_BINARY) {
            older = wire_read_bytes(reader).len > 0;
        } else if (field.id == PAGE_END && field.type == WIRE_I32) {
            end = wire_read_i32(reader);
        } else if (field.id == PAGE_COMPLETE && field.type == WIRE_BOOL) {
            answer->complete = wire_read_bool(reader);
        } else {
            wire_skip(reader, field.type);
        }
    }
    if (answer->fault == NULL && (end < PAGE_END_MORE || end > PAGE_END_MAX)) {
        answer->fault = "no end of page";
    }
    if (answer->fault == NULL && answer->entries > 0 && !older) {
        answer->fault = "entries and no cursor";
    }
}

static void
check_posts(WireReader *reader, const AnswerAsked *asked, Answer *answer)
{
    WireField field;
    guint32 missing = 0;
    answer->complete = TRUE;
    while (answer->fault == NULL && wire_read_field(reader, &field)) {
        WireType type;
        WireBytes value = wire_read_value(reader, field.type);
        WireReader list;
        wire_reader_init(&list, value.data, value.len);
        if (field.id == POSTS_MISSING && field.type == WIRE_LIST) {
            missing = wire_read_list(&list, &type);
        } else if (field.id == POSTS_FOUND && field.type == WIRE_LIST) {
            answer->entries = wire_read_list(&list, &type);
            for (guint32 i = 0; i < answer->entries; i++) {
                gint64 id = 0;
                if (!check_post(wire_read_value(&list, WIRE_STRUCT), &id)) {
                    answer->fault = "a post that is not whole";
                }
            }
        }
    }
    if (answer->fault == NULL && answer->entries + missing != asked->limit) {
        answer->fault = "found and missing are not what was asked for";
    }
}

/* ---- either ---- */

static void
read_success(WireReader *reader, const AnswerAsked *asked, Answer *answer)
{
    if (!asked->check && asked->method == BENCH_POSTS) {
        scan_posts(reader, answer);
    } else if (!asked->check) {
        scan_page(reader, answer);
    } else if (asked->method == BENCH_POSTS) {
        check_posts(reader, asked, answer);
    } else {
        check_page(reader, asked, answer);
    }
    if (answer->fault == NULL && reader->failed) {
        answer->fault = "a result that is cut off";
    }
}

/* A result has one field, which decides. */
static void
read_result(WireReader *reader, const AnswerAsked *asked, Answer *answer)
{
    WireField field;
    if (!wire_read_field(reader, &field) || field.type != WIRE_STRUCT ||
        field.id < ANSWER_GOOD || field.id > ANSWER_DENIED) {
        answer->fault = "neither a result nor an exception";
    } else if (field.id == ANSWER_GOOD) {
        read_success(reader, asked, answer);
    } else {
        answer->kind = (AnswerKind)field.id;
    }
}

/* The strict header, as frame.c reads it; without looking at the rest. */
static guint
read_header(WireReader *reader, gint32 *ret_seqid)
{
    guint32 word = (guint32)wire_read_i32(reader);
    (void)wire_read_bytes(reader);
    *ret_seqid = wire_read_i32(reader);
    return reader->failed || word >> 16 != STRICT_VERSION ? 0 : word & 0xff;
}

Answer
answer_read(WireBytes message, const AnswerAsked *asked)
{
    Answer answer = {.kind = ANSWER_GOOD};
    WireReader reader;
    Frame frame;
    wire_reader_init(&reader, message.data, message.len);
    guint kind = read_header(&reader, &answer.seqid);
    if (kind == FRAME_REPLY) {
        read_result(&reader, asked, &answer);
    } else if (kind == FRAME_EXCEPTION) {
        answer.kind = ANSWER_APPLICATION;
    } else {
        answer.fault = "it is no answer of Thrift's";
    }
    if (asked->check && answer.fault == NULL &&
        frame_scan(message.data, message.len, &frame) != FRAME_OK) {
        answer.fault = "sizes or bytes that do not belong";
    }
    if (answer.fault != NULL) {
        answer.kind = ANSWER_MALFORMED;
    }
    return answer;
}
