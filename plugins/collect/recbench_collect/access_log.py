"""Lines of a web server's access log as requests: Common and Combined Log Format, and JSON, one object a line."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple


class Request(NamedTuple):
    """One request; `time` in seconds since 1970, `agent` and `login` empty where the log does not hold them."""

    address: str
    login: str
    time: int
    method: str
    target: str
    status: int
    agent: str


# host ident user [time] "request" status bytes, and in the Combined format "referer" "agent"; a quote is escaped by \
LINE = re.compile(
    r'(?P<address>\S+) \S+ (?P<login>\S+) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
CLOCK = re.compile(r"(\d\d/\w{3}/\d{4}:\d\d):([0-5]\d):([0-5]\d) ([+-]\d{4})")
# What nginx, Apache, Caddy, Traefik and the load balancers of the clouds call these fields.
JSON_NAMES = {
    "address": ("remote_addr", "remote_ip", "client_ip", "clientip", "ip", "host", "ClientHost"),
    "login": ("remote_user", "user", "user_id", "ClientUsername"),
    "time": ("time_iso8601", "@timestamp", "timestamp", "time", "ts", "msec", "time_local", "StartUTC"),
    "request": ("request", "requestLine"),
    "method": ("request_method", "method", "RequestMethod"),
    "target": ("request_uri", "uri", "url", "path", "RequestPath"),
    "status": ("status", "status_code", "response", "DownstreamStatus"),
    "agent": ("http_user_agent", "user_agent", "agent", "request_User-Agent"),
}


def parsed(line: str) -> Request:
    """One line as a request; ValueError says what is wrong with it."""
    return _object(line) if line.startswith("{") else _common(line)


def _common(line: str) -> Request:
    found = LINE.match(line)
    if found is None:
        raise ValueError("neither Common nor Combined Log Format, nor JSON")
    method, target = _request(found["request"])
    login = "" if found["login"] == "-" else found["login"]
    agent = "" if found["agent"] in (None, "-") else found["agent"]
    return Request(found["address"], login, _seconds(found["time"]), method, target, int(found["status"]), agent)


def _object(line: str) -> Request:
    row = json.loads(line)
    inner = row.get("request")
    if isinstance(inner, dict):  # Caddy nests the request
        row = {**row, **inner, "request": None}
    found = {name: _first(row, names) for name, names in JSON_NAMES.items()}
    if found["request"]:
        found["method"], found["target"] = _request(str(found["request"]))
    missing = [name for name in ("address", "time", "target", "status") if found[name] is None]
    if missing:
        raise ValueError(f"no {', '.join(missing)} among the fields {', '.join(row)}")
    agent, login = (str(found[name] or "").removeprefix("-") for name in ("agent", "login"))
    method = str(found["method"] or "GET")
    return Request(
        str(found["address"]), login, _seconds(found["time"]), method, str(found["target"]), int(found["status"]), agent
    )


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _request(text: str) -> tuple[str, str]:
    """Method and target of `GET /path HTTP/1.1`."""
    words = text.split(" ")
    if len(words) not in (2, 3) or not words[0].isalpha():
        raise ValueError(f"no request: {text[:40]!r}")
    return words[0].upper(), words[1]


def _seconds(moment: Any) -> int:
    """`10/Oct/2000:13:55:36 -0700`, ISO 8601 with a zone, or seconds or milliseconds since 1970."""
    if isinstance(moment, (int, float)) or str(moment).replace(".", "", 1).isdigit():
        number = float(moment)
        return int(number / 1000 if number > 1e11 else number)
    if (match := CLOCK.fullmatch(text := str(moment))) is not None:
        return _hour(match[1], match[4]) + 60 * int(match[2]) + int(match[3])
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        raise ValueError(f"the time {text!r} names no zone")
    return int(stamp.timestamp())


@lru_cache(maxsize=4096)  # strptime costs more than all else of a line, and an hour has many
def _hour(hour: str, zone: str) -> int:
    return int(datetime.strptime(f"{hour} {zone}", "%d/%b/%Y:%H %z").timestamp())
