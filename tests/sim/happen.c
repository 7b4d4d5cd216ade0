#include "tests/sim/happen.h"

#include "thrift/id.h"

static gint64
maker_id(Maker *maker)
{
    Dice *dice = &maker->dice;
    if (maker->habits.id_step > 0) {
        maker->id += dice_range(dice, 1, maker->habits.id_step);
        return maker->id;
    }
    maker->ms += dice_log(dice, 1 << 20);
    maker->id = id_make(maker->ms, dice_below(dice, 4), dice_below(dice, 3));
    return maker->id;
}

static SimEvent *
maker_event(Maker *maker, guint kind, gint64 user)
{
    SimEvent *event = g_new0(SimEvent, 1);
    event->kind = kind;
    event->user = user;
    event->id = maker_id(maker);
    g_ptr_array_add(maker->world->events, event);
    return event;
}

static gint64
maker_author(Maker *maker)
{
    const World *world = maker->world;
    gboolean star = dice_percent(&maker->dice, maker->habits.star);
    guint n = star ? world->n_stars : world->n_authors;
    return world->authors[dice_below(&maker->dice, n)];
}

static gint64
maker_reader(Maker *maker)
{
    const World *world = maker->world;
    return world->readers[dice_below(&maker->dice, world->n_readers)];
}

/* Mostly a post that was made; else an id there may be later, or never. */
static gint64
maker_some_post(Maker *maker)
{
    Dice *dice = &maker->dice;
    if (maker->posts->len > 0 && !dice_percent(dice, 15)) {
        guint back = dice_log(dice, maker->posts->len);
        return g_array_index(maker->posts, gint64, maker->posts->len - back);
    }
    return maker->id + dice_range(dice, 2, 20);
}

static void
maker_body(Maker *maker, SimEvent *event)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char body[48];
    guint len = dice_below(&maker->dice, sizeof body);
    for (guint i = 0; i < len; i++) {
        body[i] = letters[dice_below(&maker->dice, 26)];
    }
    body[len] = '\0';
    sim_event_encode(event, body);
}

static void
maker_post(Maker *maker, gint64 author)
{
    Dice *dice = &maker->dice;
    SimEvent *event = maker_event(maker, EVENT_POST, author);
    gboolean conflict = dice_below(dice, 1000) < maker->habits.conflict;
    if (conflict && maker->posts->len > 0) {
        event->id = g_array_index(maker->posts, gint64,
                                  dice_below(dice, maker->posts->len));
    } else {
        g_array_append_val(maker->posts, event->id);
    }
    if (dice_percent(dice, maker->habits.basis)) {
        gint64 basis = maker_some_post(maker);
        guint which = dice_below(dice, 5);
        if (basis != event->id) {
            event->reply_to = which < 3 ? basis : 0;
            event->reblog_of = which > 1 ? basis : 0;
        }
    }
    maker_body(maker, event);
}

static void
maker_edge(Maker *maker, gint64 reader, gint64 author, gboolean follow)
{
    SimEvent *event =
        maker_event(maker, follow ? EVENT_FOLLOW : EVENT_UNFOLLOW, reader);
    event->target = author;
    maker_body(maker, event);
    if (dice_below(&maker->dice, 200) == 0) {
        /* The same id says the opposite: the follow counts. */
        SimEvent *twin =
            maker_event(maker, follow ? EVENT_UNFOLLOW : EVENT_FOLLOW, reader);
        twin->id = event->id;
        twin->target = author;
        maker_body(maker, twin);
    }
}

static void
maker_any_edge(Maker *maker)
{
    Dice *dice = &maker->dice;
    gint64 reader = maker_reader(maker);
    gint64 author = maker_author(maker);
    if (dice_percent(dice, 6)) {
        author = dice_percent(dice, 50) ? maker->stranger : reader;
    }
    maker_edge(maker, reader, author,
               !dice_percent(dice, maker->habits.unfollow));
}

/* Somebody cannot decide, while the author goes on writing. */
static void
maker_storm(Maker *maker)
{
    Dice *dice = &maker->dice;
    gint64 reader = maker_reader(maker);
    gint64 author = maker_author(maker);
    gboolean follow = dice_percent(dice, 50);
    for (guint n = dice_range(dice, 3, 20); n > 0; n--) {
        if (dice_percent(dice, 40)) {
            maker_post(maker, author);
        } else {
            maker_edge(maker, reader, author, follow);
            follow = !follow;
        }
    }
}

/* The author of the last event with this post id; 0: none. */
static gint64
maker_author_of(const Maker *maker, gint64 post)
{
    const GPtrArray *events = maker->world->events;
    for (guint i = events->len; i > 0; i--) {
        const SimEvent *event = g_ptr_array_index(events, i - 1);
        if (event->kind == EVENT_POST && event->id == post) {
            return event->user;
        }
    }
    return 0;
}

static void
maker_delete(Maker *maker)
{
    gint64 post = maker_some_post(maker);
    gint64 author = maker_author_of(maker, post);
    if (author == 0 || dice_percent(&maker->dice, 15)) {
        author = maker_author(maker);
    }
    SimEvent *event = maker_event(maker, EVENT_DELETE, author);
    event->target = post;
    maker_body(maker, event);
}

/* Kinds that are kept and change no page. */
static void
maker_other(Maker *maker)
{
    static const guint kinds[] = {
        EVENT_EDIT,   EVENT_LIKE,      EVENT_UNLIKE,
        EVENT_BLOCK,  EVENT_UNBLOCK,   EVENT_MUTE,
        EVENT_UNMUTE, EVENT_READ_MARK, EVENT_DELETE_USER,
    };
    guint kind = kinds[dice_below(&maker->dice, G_N_ELEMENTS(kinds))];
    gboolean person = kind >= EVENT_BLOCK && kind <= EVENT_UNMUTE;
    SimEvent *event = maker_event(maker, kind, maker_reader(maker));
    event->target = person ? maker_author(maker) : maker_some_post(maker);
    maker_body(maker, event);
}

/* A good event turned bad; what is bad about it is the event's only news. */
static void
maker_garbage(Maker *maker)
{
    Dice *dice = &maker->dice;
    guint what = dice_below(dice, 8);
    gboolean edge = dice_percent(dice, 50);
    SimEvent *event =
        maker_event(maker, edge ? EVENT_FOLLOW : EVENT_POST,
                    edge ? maker_reader(maker) : maker_author(maker));
    event->target = maker_author(maker);
    if (what == 0) {
        event->kind = dice_percent(dice, 50) ? 14 : 99;
    } else if (what == 1) {
        event->user = dice_percent(dice, 50) ? 0 : -7;
    } else if (what == 2) {
        event->reply_to = event->id;
        event->kind = EVENT_POST;
    } else if (what == 3) {
        event->target = 0;
        event->kind = EVENT_FOLLOW;
    }
    maker_body(maker, event);
    if (what == 4) {
        g_byte_array_set_size(event->bytes,
                              dice_below(dice, event->bytes->len));
    } else if (what == 5) {
        g_byte_array_append(event->bytes, (const guint8 *)"x", 1);
    } else if (what == 6) {
        event->bytes->data[6] = 2; /* of version: an i32 after 3 bytes */
    } else if (what == 7) {
        for (guint i = 0; i < event->bytes->len; i++) {
            event->bytes->data[i] = (guint8)(0x80 | dice_next(dice));
        }
    }
    event->kind = 0;
}

void
happen_next(Maker *maker)
{
    const Habits *habits = &maker->habits;
    Dice *dice = &maker->dice;
    if (dice_below(dice, 1000) < habits->storm) {
        maker_storm(maker);
        return;
    }
    guint all = habits->posts + habits->edges + habits->deletes +
                habits->others + habits->garbage;
    guint lot = dice_below(dice, all);
    if (lot < habits->posts) {
        maker_post(maker, maker_author(maker));
    } else if (lot < habits->posts + habits->edges) {
        maker_any_edge(maker);
    } else if (lot < habits->posts + habits->edges + habits->deletes) {
        maker_delete(maker);
    } else if (lot < all - habits->garbage) {
        maker_other(maker);
    } else {
        maker_garbage(maker);
    }
}

void
happen_begin(Maker *maker)
{
    const World *world = maker->world;
    for (guint i = 0; i < world->n_readers; i++) {
        for (guint j = 0; j < world->n_authors; j++) {
            guint odds = j < world->n_stars ? 90 : 30;
            if (dice_percent(&maker->dice, odds)) {
                maker_edge(maker, world->readers[i], world->authors[j], TRUE);
            }
        }
    }
}
