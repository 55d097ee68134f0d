"""`ipckit explain`: everything has an explanation, and what the explanations name exists."""

from __future__ import annotations

import builtins
import errno
import json
import os
import re
from importlib import import_module

import pytest

import ipckit as house
from ipckit import errors
from ipckit.cli import explanations
from ipckit.cli.commands import COMMANDS
from ipckit.errors import check
from ipckit.inspect import KINDS
from ipckit.posix import MessageQueue
from ipckit.ring import SpscRing

TOPICS = explanations.PRIMITIVES
ERRORS = explanations.ERRORS
PACKAGES = ("compat", "filelock", "posix", "server", "signals", "sockets.inet", "sockets.unix", "sync", "sysv")
# What is told of with something else: results, records, helpers, and the modules themselves.
TOLD_ELSEWHERE = {
    "Address", "Attachment", "Credentials", "Holder", "KeepAlive", "MODES", "MOST_FDS", "Message", "QueueAttributes",
    "QueueStatus", "Received", "SegmentStatus", "SetStatus", "SignalDescription", "SignalInfo", "WithCredentials",
    "blocked", "compat", "errors", "features", "filelock", "handler", "message_queues", "name", "posix", "ring", "rpc",
    "server", "signals", "sigwait", "sockets", "sync", "sysv", "table",
}  # fmt: skip


def texts(topic):
    return " ".join(str(part) for part in topic)


def named(dotted):
    """What a dotted name leads to."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(dotted)


def test_every_errno_with_a_class_or_a_remedy_is_explained():
    known = set(errors._CLASSES) | {number for _, number in errors._REMEDIES} | set(errors._ANY_CALL)
    assert known - ERRORS.keys() == set()
    for number, topic in ERRORS.items():
        assert getattr(errno, topic.name) == number
        assert topic.meaning.endswith(".")
        assert topic.remedy.endswith((".", '"".'))
        assert topic.calls


def test_every_kind_of_objects_is_explained():
    assert KINDS.keys() - TOPICS.keys() == set()


def test_every_public_primitive_is_explained():
    told = {name for topic in TOPICS.values() for name in topic.names}
    public = {f"ipckit.{name}" for name in house.__all__}
    for package in PACKAGES:
        public |= {f"ipckit.{package}.{name}" for name in import_module(f"ipckit.{package}").__all__}
    last = {name.rpartition(".")[2] for name in told}
    missing = {name for name in public if name not in told and name.rpartition(".")[2] not in last | TOLD_ELSEWHERE}
    assert missing == set()


@pytest.mark.parametrize("topic", [*TOPICS.values(), *ERRORS.values()], ids=lambda topic: topic.name)
def test_what_the_text_names_exists(topic):
    text = texts(topic)
    for command in re.findall(r"`ipckit ([a-z]+)", text):
        assert command in COMMANDS
    for words in re.findall(r"`ipckit ls ([a-z -]+?)`", text):
        assert set(words.split()) - {"--stale"} <= KINDS.keys()
    for name in re.findall(r"\b[A-Z]\w+(?:Error|Expired|Warning)\b", text):
        assert hasattr(errors, name) or hasattr(builtins, name)
    for name in getattr(topic, "names", ()):
        named(name)
    for other in getattr(topic, "see", ()):
        assert other in TOPICS
        assert other != topic.name


def test_the_words_for_primitives_mean_one_each():
    aliases = [alias for topic in TOPICS.values() for alias in topic.aliases]
    assert len(aliases) == len(set(aliases))
    assert set(aliases) & TOPICS.keys() == set()
    assert all(alias == alias.lower() for alias in aliases)
    for topic in TOPICS.values():
        for part in (topic.what, topic.choose, topic.avoid, topic.crash, topic.limits):
            assert part.endswith(".")


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("EIDRM", "EIDRM, errno 43: Identifier removed"),
        ("eidrm", "EIDRM, errno 43: Identifier removed"),
        ("43", "EIDRM, errno 43: Identifier removed"),
        ("EWOULDBLOCK", f"EAGAIN, errno 11: {os.strerror(11)}"),
        ("EXDEV", f"EXDEV, errno 18: {os.strerror(18)}"),
        ("RemovedError", "ipckit.errors.RemovedError"),
        ("ipckit.errors.removederror", "ipckit.errors.RemovedError"),
        ("mq", "mq: POSIX message queue"),
        ("mqueue", "mq: POSIX message queue"),
        ("SpscRing", "spsc: ring from one producer to one consumer"),
        ("ipckit.posix.MessageQueue", "mq: POSIX message queue"),
        ("sysv.messagequeue", "sysv-mq: System V message queue"),
        ("Event", "event: event, and pair of events"),
    ],
)
def test_words(ipckit, word, title):
    done = ipckit("explain", word)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] == title
    assert max(map(len, done.out.splitlines())) <= 100


def test_several_words_and_the_list(ipckit):
    done = ipckit("explain", "EPIPE", "pipe")
    assert done.out.count("\n\n") == 1
    listed = ipckit("explain").out
    assert all(re.search(rf"^{re.escape(name)} ", listed, re.MULTILINE) for name in TOPICS)
    assert all(topic.name in listed for topic in ERRORS.values())


def test_the_class_of_an_errno_and_its_messages(ipckit):
    for number in ERRORS:
        raised = type(errors.syscall_error(number, "mq_open"))
        assert f"ipckit.errors.{raised.__name__}: " in ipckit("explain", number).out
    document = json.loads(ipckit("explain", "ENOSPC", "--json").out)
    (told,) = document["explanations"]
    assert told["topic"] == "ENOSPC"
    assert any(line.startswith("mq_open: raise sysctl fs.mqueue.queues_max") for line in told["sections"]["Messages"])
    with pytest.raises(errors.LimitError):
        check(-errno.ENOSPC, "mq_open")


def test_a_word_that_means_nothing_gets_suggestions(ipckit):
    done = ipckit("explain", "broadcst")
    assert (done.status, done.out) == (1, "")
    assert "did you mean broadcast" in done.err
    assert "did you mean EIDRM" in ipckit("explain", "EIDR").err
    assert "`ipckit explain` lists" in ipckit("explain", "zzzzzzzz").err
    assert "explain: '\\x1b[2Jq' is" in ipckit("explain", "\033[2Jq").err


def test_an_object_that_is_not_there(ipckit):
    done = ipckit("explain", "ring:/no-such-ring")
    assert (done.status, done.out, done.err) == (1, "", "ipckit: there is no ring:/no-such-ring\n")
    assert ipckit("explain", "ring:/\033[2J").err == "ipckit: there is no ring:/\\x1b[2J\n"
    assert ipckit("explain", "sysv-mq:key").status == 2


def test_an_object_in_use(ipckit):
    with SpscRing.create(f"/explain-{os.getpid()}", unlink_on_close=True) as ring:
        ring.send(b"x")
        document = json.loads(ipckit("explain", f"ring:{ring.name}", "--json").out)
    (told,) = document["explanations"]
    sections = told["sections"]
    assert any(f"process {os.getpid()} " in line for line in sections["Who has it"])
    assert sections["Verdict"][0].startswith("in use: ")
    assert "mode 0600" in sections["Now"][0]
    assert f"`ipckit rm ring:{ring.name}`" in sections["To remove"][0]
    assert sections["Limits"][0] == TOPICS["ring"].limits


def make(name):
    SpscRing.create(name).send(b"x")


def test_an_object_that_was_left_behind(ipckit, spawn):
    name = f"/explain-stale-{os.getpid()}"
    spawn(make, name).result()
    try:
        out = ipckit("explain", f"ring:{name}").out
        if "could not be looked into" not in out:
            assert "Verdict     stale: " in out
            assert "`ipckit clean --yes`" in out
            assert "no process" in out
    finally:
        SpscRing.unlink_name(name)


def test_an_object_of_the_kernel(ipckit):
    with MessageQueue.create(unlink_on_close=True) as queue:
        out = ipckit("explain", f"mq:{queue.name}").out
    assert f"process {os.getpid()} " in out
    assert "Whoever has it open goes on with it" in " ".join(out.split())
