"""Of two processes that are asked at the same instant, one is first, and what one has answered holds at the other.
test_races.py BINARY [CASE]. MSGCUBE_RACE_TRIES says how often each race is run (300, some a third of that)."""

import itertools
import json
import sys

from races import ADMIN, FEWER_TRIES, RIGHT_DATE, SECRET, TOKEN, WRONG_DATE, Pair  # first: with it tests/front can be imported
from several import APPID, skip_unless_built

import callbacks
from cases import case, run
from wechat import REAL_SECRET

SERVES, RECEIVES, ALSO_RECEIVES = "wxserves000000001", "wxreceives0000001", "wxreceives0000002"
INTERFACES = [
    "getupstreammsg", "getupstreammsghour", "getupstreammsgweek", "getupstreammsgmonth", "getupstreammsgdist",
    "getupstreammsgdistweek", "getupstreammsgdistmonth",
]
VALID, UNKNOWN_TOKEN, QUOTA, UNKNOWN_APPID, NOT_AUTHORIZED, CODE_EXPIRED = 0, 40001, 45009, 40013, 61003, 61010


def component(appid, role):
    return (
        f'\n[[component]]\nappid = "{appid}"\nsecret = "{SECRET}"\ntoken = "{TOKEN}"\n'
        f'encoding_aes_key = "{callbacks.AES_KEY}"\nrole = "{role}"\n'
    )


def both(scene):
    """The two processes of all cases without real tokens."""
    roles = {SERVES: "serve", RECEIVES: "receive", ALSO_RECEIVES: "receive"}
    return Pair.kept(scene.binary, "".join(component(*one) for one in roles.items()))


def authorize(process, appid):
    body = {"appid": appid, "permission_sets": [1]}
    return process.own("POST", f"/v1/components/{SERVES}/authorizations", body)["auth_code"]


def component_token(process):
    ticket = process.own("GET", f"/v1/components/{SERVES}/ticket")["component_verify_ticket"]
    answer = process.call(
        "/cgi-bin/component/api_component_token",
        component_appid=SERVES, component_appsecret=SECRET, component_verify_ticket=ticket,
    )
    return answer.json["component_access_token"]


def redeem(process, token, code):
    return process.call(
        "/cgi-bin/component/api_query_auth", token, "component_access_token", component_appid=SERVES, authorization_code=code
    )


@case
def a_code_that_is_used_at_both_gives_tokens_once(scene):
    pair = both(scene)
    one = pair.processes[0]
    appid, token = pair.new_account(one), component_token(one)
    for _, first, second in pair.tries():
        code = authorize(first, appid)
        answers = pair.at_once(lambda: redeem(first, token, code), lambda: redeem(second, token, code))
        assert sorted(answer.errcode for answer in answers) == [VALID, CODE_EXPIRED], answers
        given = next(answer for answer in answers if answer.errcode == VALID).json["authorization_info"]
        for process in (first, second):
            assert process.seven(given["authorizer_access_token"]) == VALID
            assert redeem(process, token, code).errcode == CODE_EXPIRED


@case
def a_withdrawn_authorisation_is_accepted_nowhere(scene):
    pair = both(scene)
    one = pair.processes[0]
    appid, token = pair.new_account(one), component_token(one)
    for _, first, second in pair.tries(FEWER_TRIES):
        code, late_code = authorize(first, appid), authorize(second, appid)
        given = redeem(second, token, code).json["authorization_info"]["authorizer_access_token"]
        withdraw = f"/v1/components/{SERVES}/authorizations/{appid}"
        _, meanwhile, late = pair.at_once(
            lambda: first.own("DELETE", withdraw), lambda: second.seven(given), lambda: redeem(second, token, late_code)
        )
        assert meanwhile in (VALID, NOT_AUTHORIZED), meanwhile
        assert late.errcode in (VALID, NOT_AUTHORIZED, CODE_EXPIRED), late
        tokens = [given] + ([late.json["authorization_info"]["authorizer_access_token"]] if late.errcode == VALID else [])
        for process, old in itertools.product((second, first), tokens):
            assert process.seven(old) == NOT_AUTHORIZED, "used after the withdrawal was answered"


@case
def the_first_stable_token_of_an_account_is_one_for_both(scene):
    pair = both(scene)
    for _, first, second in pair.tries():
        appid = pair.new_account(first)
        given = set(pair.at_once(lambda: first.stable_token(appid), lambda: second.stable_token(appid)))
        assert len(given) == 1, given
        assert [process.seven(token) for process in (first, second) for token in given] == [VALID] * 2


@case
def after_two_forces_at_once_one_stable_token_is_current(scene):
    pair = both(scene)
    appid = pair.new_account(pair.processes[0])
    for _, first, second in pair.tries():
        old = second.stable_token(appid)
        given = pair.at_once(lambda: first.stable_token(appid, True), lambda: second.stable_token(appid, True))
        assert len({old, *given}) == 3, "each force gives a new one"
        now = set(pair.at_once(lambda: first.stable_token(appid), lambda: second.stable_token(appid)))
        assert len(now) == 1 and now <= set(given), (now, given)
        for process, token in itertools.product((first, second), [old, *given]):
            assert process.seven(token) == (VALID if token in now else UNKNOWN_TOKEN)


@case
def a_forced_token_ends_the_old_one_at_the_other_process(scene):
    pair = both(scene)
    appid = pair.new_account(pair.processes[0])
    for _, first, second in pair.tries(FEWER_TRIES):
        old = second.stable_token(appid)
        assert second.seven(old) == VALID
        new, meanwhile, given = pair.at_once(
            lambda: first.stable_token(appid, True), lambda: second.seven(old), lambda: second.stable_token(appid)
        )
        assert meanwhile in (VALID, UNKNOWN_TOKEN) and given in (old, new), (meanwhile, given == old)
        assert (second.seven(old), second.seven(new), second.stable_token(appid)) == (UNKNOWN_TOKEN, VALID, new)


@case
def after_a_stable_token_expires_both_give_the_same_next_one(scene):
    pair = both(scene)
    appid = pair.new_account(pair.processes[0])
    for number, first, second in pair.tries(FEWER_TRIES):
        old = second.stable_token(appid)
        # From 300 s before its end on, there is a new one, and the old one stays valid until its end.
        is_over = number % 3 == 0
        end_token_early(pair, appid, -1 if is_over else 299)
        given = set(pair.at_once(lambda: first.stable_token(appid), lambda: second.stable_token(appid)))
        assert len(given) == 1 and old not in given, given
        for process in (first, second):
            assert process.seven(old) == (42001 if is_over else VALID) and process.seven(*given) == VALID


def end_token_early(pair, appid, left_s):
    """As if time had passed: changes the stored end of all tokens of the account, in a turn."""
    ends = "jsonb_build_object('expires_s', {0}, 'valid_until_s', {0})".format(f"floor(extract(epoch FROM now()))::bigint + {left_s}")
    pair.servers.postgres[0].sql(
        "BEGIN; SET LOCAL search_path = msgcube; SELECT FROM turn_lock FOR UPDATE;"
        " INSERT INTO turn (seq, id) SELECT max(seq) + 1, gen_random_uuid()::text FROM turn;"
        f" UPDATE fact SET value = convert_to((convert_from(value, 'UTF8')::jsonb || {ends})::text, 'UTF8'),"
        f" seq = (SELECT max(seq) FROM turn) WHERE key LIKE 'token/{appid}/%' AND value IS NOT NULL; COMMIT"
    )


@case
def the_last_calls_of_a_quota_are_given_once(scene):
    pair = both(scene)
    quota, appid, interfaces = 2, None, []
    for number, first, second in pair.tries():
        if not interfaces:  # each interface has a quota of its own
            appid, interfaces = pair.new_account(first, quota_per_day=quota), list(INTERFACES)
            token = second.stable_token(appid)
        interface = interfaces.pop()
        # Half of the tries pass the check of the dates. The other half fails there, which is after the quota.
        date = RIGHT_DATE if number % 2 else WRONG_DATE
        works = [lambda process=process: process.seven(token, interface, date) for process in (first, second) * 2]
        codes = pair.at_once(*works)
        assert codes.count(QUOTA) == len(codes) - quota, (interface, codes)
        assert all(process.seven(token, interface, date) == QUOTA for process in (first, second))


@case
def a_new_key_is_known_and_a_revoked_one_unknown_at_once(scene):
    pair = both(scene)
    for _, first, second in pair.tries(FEWER_TRIES):
        added = first.own("POST", "/v1/keys", {"scopes": ["read"]}, expected=201)
        bearer = {"Authorization": f"Bearer {added['key']}"}
        asked = [process.ask("GET", f"/v1/accounts/{APPID}/coverage", headers=bearer).status for process in (second, first)]
        assert asked == [200, 200], asked
        _, meanwhile = pair.at_once(
            lambda: first.own("DELETE", f"/v1/keys/{added['id']}"), lambda: second.ask("GET", f"/v1/accounts/{APPID}/coverage", headers=bearer)
        )
        assert meanwhile.status in (200, 401), meanwhile
        asked = [process.ask("GET", f"/v1/accounts/{APPID}/coverage", headers=bearer).status for process in (second, first)]
        assert asked == [401, 401], "used after the revocation was answered"


@case
def a_new_account_is_served_and_a_removed_one_refused_at_once(scene):
    pair = both(scene)
    for _, first, second in pair.tries(FEWER_TRIES):
        appid = pair.new_account(first)
        signer = callbacks.Account(appid=appid, token=TOKEN)
        answer = second.callback(f"/callback/{appid}", signer, callbacks.message())
        assert (answer.status, answer.body) == (200, b"success"), answer
        token = second.stable_token(appid)
        assert first.counted(appid) == 1 and first.seven(token) == VALID
        removal = lambda: first.own("DELETE", f"/v1/accounts/{appid}")  # noqa: E731
        _, meanwhile, given = pair.at_once(removal, lambda: second.seven(token), lambda: asked_token(second, appid))
        assert meanwhile in (VALID, UNKNOWN_TOKEN) and given.errcode in (VALID, UNKNOWN_APPID), (meanwhile, given)
        late = [token] + ([given.json["access_token"]] if given.errcode == VALID else [])
        assert [second.seven(token) for token in late] == [UNKNOWN_TOKEN] * len(late), "used after the removal was answered"
        assert asked_token(second, appid).errcode == UNKNOWN_APPID
        assert second.callback(f"/callback/{appid}", signer, callbacks.message()).status == 404


def asked_token(process, appid):
    return process.call(
        "/cgi-bin/stable_token", grant_type="client_credential", appid=appid, secret=SECRET, force_refresh=True
    )


@case
def an_account_that_is_added_at_both_is_added_once(scene):
    pair = both(scene)
    for number, first, second in pair.tries(FEWER_TRIES):
        settings = [{"appid": f"wxtwice{number:011}", "secret": SECRET, "token": TOKEN, "name": name} for name in "ab"]
        body = [json.dumps(one) for one in settings]
        answers = pair.at_once(
            lambda: first.ask("POST", "/v1/accounts", body[0], ADMIN), lambda: second.ask("POST", "/v1/accounts", body[1], ADMIN)
        )
        assert sorted(answer.status for answer in answers) == [201, 409], answers


@case
def the_first_messages_of_an_account_bind_it_once(scene):
    pair = both(scene)
    for number, first, second in pair.tries():
        ones, others = {
            0: ((RECEIVES, "gh_a"), (RECEIVES, "gh_b")),
            1: ((RECEIVES, "gh_a"), (ALSO_RECEIVES, "gh_a")),
            2: ((RECEIVES, "gh_a"), (RECEIVES, "gh_a")),
            3: ((RECEIVES, "gh_a"), (ALSO_RECEIVES, "gh_b")),
        }[number % 4]
        bind_once(pair, f"wxfirst{number:011}", number, [(first, *ones), (second, *others)])


def bind_once(pair, appid, number, ways):
    """Sends a first message each way at once. `ways`: the process, the platform and the ToUserName."""
    sends = []
    for process, platform, to in ways:
        signer = callbacks.Account(appid=platform, token=TOKEN)
        message = callbacks.message(to=f"{to}{number}")  # no two accounts have the same
        path = f"/component/{platform}/callback/{appid}"
        sends.append(lambda at, signer=signer, message=message, path=path: at.callback(path, signer, message))
    works = [lambda send=send, process=way[0]: send(process) for send, way in zip(sends, ways)]
    answers = pair.at_once(*works)
    # One that was overtaken gets no answer. WeChat sends it again, and then it is refused.
    for way, answer in zip(ways, answers):
        assert answer.status in (200, 403, None), (way, answer)
    taken = [answer.status == 200 for answer in answers]
    expected = 2 if ways[0][1:] == ways[1][1:] else 1
    assert sum(taken) == expected, (ways, answers)
    again = [lambda send=send, process=way[0]: send(process).status for way in ways for send in sends]
    assert pair.at_once(*again) == [200 if was_taken else 403 for was_taken in taken] * len(ways), "sent again"
    for process, _, _ in ways:
        assert process.counted(appid) == expected
        bound = process.own("GET", f"/v1/accounts/{appid}")["platforms"]
        _, platform, to = ways[taken.index(True)]
        assert [(one["component"], one["original_id"]) for one in bound] == [(platform, f"{to}{number}")], bound


@case
def one_process_fetches_a_real_token_for_both(scene):
    wechat, pair = real_tokens(scene)
    for _, first, second in pair.tries():
        appid = pair.new_account(first, upstream_secret=REAL_SECRET)
        given = set(pair.at_once(*[lambda process=process: process.stable_token(appid) for process in (first, second) * 2]))
        assert len(given) == 1 and wechat.calls == [(appid, False)], (given, wechat.calls)
        wechat.calls.clear()


@case
def a_forced_real_token_is_one_for_both_and_ends_the_old_one(scene):
    wechat, pair = real_tokens(scene)
    for _, first, second in pair.tries(FEWER_TRIES):
        appid = pair.new_account(first, upstream_secret=REAL_SECRET)
        old = second.stable_token(appid)
        assert second.seven(old) == VALID
        forced, again, meanwhile = pair.at_once(
            lambda: first.stable_token(appid, True), lambda: second.stable_token(appid, True), lambda: second.seven(old)
        )
        assert forced == again != old and meanwhile in (VALID, UNKNOWN_TOKEN), (forced == again, forced == old, meanwhile)
        assert [wanted for _, wanted in wechat.calls].count(True) == 1, wechat.calls
        for process in (second, first):
            assert (process.seven(old), process.seven(forced), process.stable_token(appid)) == (UNKNOWN_TOKEN, VALID, forced)
        wechat.calls.clear()


def real_tokens(scene):
    """A fake WeChat, and two processes that hand out its tokens."""
    pair = Pair.kept(scene.binary, '\n[upstream]\nbase = "{wechat}"\nexpose_real_token = true\nuncovered = "counted"\n')
    return pair.wechat, pair


skip_unless_built(sys.argv[1])
try:
    run(at_once=1)
finally:
    Pair.close_all()
