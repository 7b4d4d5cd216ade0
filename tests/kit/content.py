"""Pages against what was told: bodies, tags, parents, cursors both ways."""
from client import context, pages, types
from oracle import user_id

NEWEST = None


def check_entry(entry, oracle, reason):
    """One entry of a page has everything the post's event said."""
    told = oracle.post(entry.post.id)
    check_post(entry.post, told)
    assert entry.reason == reason
    check_parent(entry.parent_post, told.get("reply_to"), oracle)
    check_parent(entry.original_post, told.get("reblog_of"), oracle)


def check_post(post, told):
    """A post as served is the post as told."""
    kind = told.get("post_kind", "text").upper()
    assert post.id == told["id"]
    assert post.author == user_id(told["user"])
    assert post.kind == types.PostKind._NAMES_TO_VALUES[kind]
    assert (post.body or b"").decode() == told.get("body", "")
    assert (post.tags or []) == told.get("tags", [])
    assert (post.reply_to or 0) == (told.get("reply_to") or 0)
    assert (post.reblog_of or 0) == (told.get("reblog_of") or 0)


def check_parent(post, number, oracle):
    """The parent travels along, unless there is none or it was deleted."""
    if not number or oracle.is_deleted(number):
        assert post is None
    else:
        check_post(post, oracle.post(number))


def walk_older(call, user, limit, cursor=NEWEST):
    """Pages downwards to the end of the inbox."""
    while True:
        page = call(user, pages.PageRequest(cursor=cursor, limit=limit),
                    context())
        yield page
        if page.page_end == pages.PageEnd.END_OF_INBOX:
            return
        assert page.page_end == pages.PageEnd.MORE and page.entries
        assert len(page.entries) <= limit
        cursor = page.older


def walk_newer(call, user, limit, cursor):
    """Pages upwards until there is nothing newer yet."""
    while True:
        page = call(user, pages.PageRequest(
            cursor=cursor, limit=limit, direction=pages.Direction.NEWER),
            context())
        yield page
        if page.page_end == pages.PageEnd.NOTHING_NEWER_YET:
            return
        assert page.page_end == pages.PageEnd.MORE and page.entries
        assert len(page.entries) <= limit
        cursor = page.newer


def post_ids(page):
    """Ids of a page's posts in its order."""
    return [entry.post.id for entry in page.entries]


def check_user(call, user, oracle, limit, timeline=False):
    """A user's every page by generated code, down and up again."""
    wanted = oracle.timeline(user) if timeline else oracle.dashboard(user)
    reason = pages.Reason.AUTHORED if timeline else pages.Reason.FOLLOWED
    down = list(walk_older(call, user, limit))
    assert [i for page in down for i in post_ids(page)] == wanted
    for page in down:
        assert page.complete and page.stale is None
        for entry in page.entries:
            check_entry(entry, oracle, reason)
    if not wanted:
        return
    bottom = [page for page in down if page.entries][-1]
    up = list(walk_newer(call, user, limit, bottom.newer))
    assert sum(map(post_ids, reversed(up)), []) + post_ids(bottom) == wanted


def sample(oracle, size=40):
    """Users of all sizes: the fullest dashboards and some evenly between."""
    ordered = sorted(oracle.users(), key=lambda u: len(oracle.dashboard(u)))
    step = max(1, len(ordered) // size)
    return [*ordered[::step], *ordered[-2:]]
