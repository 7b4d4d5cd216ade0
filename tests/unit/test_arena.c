/* arena.h and span.h: memory that grows in place and is used again. */
#include "cell/arena.h"

#include <string.h>

#define BLOCKS 4000

typedef struct Block {
    ArenaRef ref;
    guint class;
    guint64 mark; /* in each of its words */
} Block;

static void
block_fill(const Arena *arena, const Block *block)
{
    _Atomic guint64 *words = arena_words(arena, block->ref);
    for (guint i = 0; i < arena_class_bytes(block->class) / 8; i++) {
        atomic_store_explicit(&words[i], block->mark, memory_order_relaxed);
    }
}

static void
block_check(const Arena *arena, const Block *block)
{
    _Atomic guint64 *words = arena_words(arena, block->ref);
    for (guint i = 0; i < arena_class_bytes(block->class) / 8; i++) {
        g_assert_cmpuint(atomic_load(&words[i]), ==, block->mark);
    }
}

static Block
block_new(Arena *arena, guint class, guint64 mark)
{
    Block block = {.mark = mark};
    block.ref = arena_alloc(arena, class, &block.class);
    g_assert_cmpuint(block.ref, !=, 0);
    g_assert_cmpuint(block.class, >=, class);
    block_fill(arena, &block);
    return block;
}

/* A span grows from its beginning, in place; what is new is zero and what was
   there stays. */
static void
test_span(void)
{
    Span span;
    span_init(&span, (gsize)64 << 20);
    const guint8 *base = span.base;
    g_assert_cmpuint(span.used, ==, 0);
    for (gsize bytes = 1; bytes < (gsize)20 << 20; bytes = bytes * 3 + 1) {
        gsize before = span.used;
        span_grow(&span, bytes);
        g_assert_true(span.base == base);
        g_assert_cmpuint(span.used, >=, MAX(bytes, before));
        for (gsize i = before; i < bytes; i += 997) {
            g_assert_cmpuint(span.base[i], ==, 0);
        }
        span.base[span.used - 1] = 7;
        if (before > 0) {
            g_assert_cmpuint(span.base[before - 1], ==, 7);
        }
    }
    span_clear(&span);
    g_assert_null(span.base);
}

/* Asking a span for less than it has changes nothing, and all it has reserved
   can be had. */
static void
test_span_bounds(void)
{
    Span span;
    span_init(&span, 3);
    gsize all = span.bytes;
    g_assert_cmpuint(all, >=, 3);
    span_grow(&span, all);
    g_assert_cmpuint(span.used, ==, all);
    span_grow(&span, 1);
    g_assert_cmpuint(span.used, ==, all);
    span.base[all - 1] = 1;
    span_clear(&span);
}

/* Each number of bytes has the smallest class that holds it; classes grow by
   a half at most, and are whole words and units. */
static void
test_classes(void)
{
    for (guint bytes = 0; bytes <= ARENA_BLOCK_BYTES_MAX; bytes++) {
        guint class = arena_class_for(bytes);
        g_assert_cmpuint(arena_class_bytes(class), >=, bytes);
        g_assert_true(class == 0 || arena_class_bytes(class - 1) < bytes);
    }
    for (guint class = 1; class < ARENA_CLASSES; class ++) {
        guint bytes = arena_class_bytes(class);
        g_assert_cmpuint(bytes % ARENA_UNIT_BYTES, ==, 0);
        g_assert_cmpuint(2 * bytes, <=, 3 * arena_class_bytes(class - 1));
    }
}

/* Blocks of all classes, taken and given back at random, keep what is written
   into them: no two overlap. */
static void
test_apart(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(1, G_MAXINT32);
    g_test_message("seed %u", seed);
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autofree Block *blocks = g_new0(Block, BLOCKS);
    Arena arena;
    arena_init(&arena, (gsize)8 << 20);
    for (guint64 i = 0; i < 10 * BLOCKS; i++) {
        Block *block = &blocks[g_rand_int_range(rand, 0, BLOCKS)];
        if (block->ref != 0) {
            block_check(&arena, block);
            arena_free(&arena, block->ref, block->class);
            block->ref = 0;
        } else {
            guint class = (guint)g_rand_int_range(rand, 0, ARENA_CLASSES);
            *block = block_new(&arena, class, i + 1);
        }
    }
    for (guint i = 0; i < BLOCKS; i++) {
        if (blocks[i].ref != 0) {
            block_check(&arena, &blocks[i]);
        }
    }
    arena_clear(&arena);
}

/* What was given back is taken again by its own class, and by no other while
   memory is plenty. */
static void
test_reuse(void)
{
    Arena arena;
    arena_init(&arena, G_MAXSIZE);
    for (guint class = 0; class < ARENA_CLASSES; class ++) {
        Block first = block_new(&arena, class, 1);
        Block second = block_new(&arena, class, 2);
        arena_free(&arena, first.ref, class);
        arena_free(&arena, second.ref, class);
        for (guint other = 0; other < class; other++) {
            Block block = block_new(&arena, other, 3);
            g_assert_cmpuint(block.class, ==, other);
            g_assert_cmpuint(block.ref, !=, first.ref);
            g_assert_cmpuint(block.ref, !=, second.ref);
        }
        gsize taken = arena.taken;
        Block again = block_new(&arena, class, 4);
        Block last = block_new(&arena, class, 5);
        g_assert_true((again.ref == first.ref && last.ref == second.ref) ||
                      (again.ref == second.ref && last.ref == first.ref));
        g_assert_cmpuint(arena.taken, ==, taken);
    }
    arena_clear(&arena);
}

/* At its bound the arena takes the smallest larger block that is free, before
   it takes more memory; its own class still comes first. */
static void
test_thrifty(void)
{
    Arena arena;
    arena_init(&arena, 0);
    Block small = block_new(&arena, arena_class_for(64), 1);
    Block middle = block_new(&arena, arena_class_for(96), 2);
    Block large = block_new(&arena, arena_class_for(1024), 3);
    g_assert_cmpuint(middle.class, ==, small.class + 1);
    arena_free(&arena, large.ref, large.class);
    arena_free(&arena, middle.ref, middle.class);
    arena_free(&arena, small.ref, small.class);
    gsize taken = arena.taken;
    g_assert_cmpuint(block_new(&arena, small.class, 4).ref, ==, small.ref);
    Block second = block_new(&arena, small.class, 5);
    g_assert_cmpuint(second.ref, ==, middle.ref);
    g_assert_cmpuint(second.class, ==, middle.class);
    Block third = block_new(&arena, arena_class_for(32), 6);
    g_assert_cmpuint(third.ref, ==, large.ref);
    g_assert_cmpuint(third.class, ==, large.class);
    g_assert_cmpuint(arena.taken, ==, taken);
    arena_clear(&arena);
}

/* Thrift is no bound: where nothing is free there is more memory; and a
   smaller free block is never given. */
static void
test_thrifty_grows(void)
{
    Arena arena;
    arena_init(&arena, 0);
    Block small = block_new(&arena, 0, 1);
    arena_free(&arena, small.ref, small.class);
    gsize taken = arena.taken;
    Block large = block_new(&arena, 5, 2);
    g_assert_cmpuint(large.class, ==, 5);
    g_assert_cmpuint(large.ref, !=, small.ref);
    g_assert_cmpuint(arena.taken, >, taken);
    arena_clear(&arena);
}

/* What is live is the sum of blocks in use; what was taken stays taken. */
static void
test_accounting(void)
{
    Arena arena;
    arena_init(&arena, G_MAXSIZE);
    g_autoptr(GArray) blocks = g_array_new(FALSE, FALSE, sizeof(Block));
    gsize live = 0;
    g_assert_cmpuint(arena.live, ==, 0);
    for (guint i = 0; i < 50 * ARENA_CLASSES; i++) {
        Block block = block_new(&arena, i % ARENA_CLASSES, i);
        live += arena_class_bytes(block.class);
        g_array_append_val(blocks, block);
        g_assert_cmpuint(arena.live, ==, live);
        g_assert_cmpuint(arena.taken, >=, arena.live);
    }
    gsize taken = arena.taken;
    for (guint i = 0; i < blocks->len; i++) {
        const Block *block = &g_array_index(blocks, Block, i);
        arena_free(&arena, block->ref, block->class);
        live -= arena_class_bytes(block->class);
        g_assert_cmpuint(arena.live, ==, live);
    }
    g_assert_cmpuint(arena.live, ==, 0);
    g_assert_cmpuint(arena.taken, ==, taken);
    arena_clear(&arena);
}

/* Blocks stay where they are while the arena grows a hundredfold. */
static void
test_stays(void)
{
    Arena arena;
    arena_init(&arena, G_MAXSIZE);
    Block first = block_new(&arena, 3, 99);
    const _Atomic guint64 *words = arena_words(&arena, first.ref);
    while (arena.taken < (gsize)12 << 20) {
        (void)block_new(&arena, ARENA_CLASSES - 1, 1);
        g_assert_true(arena_words(&arena, first.ref) == words);
    }
    block_check(&arena, &first);
    arena_clear(&arena);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arena/span", test_span);
    g_test_add_func("/arena/span-bounds", test_span_bounds);
    g_test_add_func("/arena/classes", test_classes);
    g_test_add_func("/arena/apart", test_apart);
    g_test_add_func("/arena/reuse", test_reuse);
    g_test_add_func("/arena/thrifty", test_thrifty);
    g_test_add_func("/arena/thrifty-grows", test_thrifty_grows);
    g_test_add_func("/arena/accounting", test_accounting);
    g_test_add_func("/arena/stays", test_stays);
    return g_test_run();
}
