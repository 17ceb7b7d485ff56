"""The Lua that runs in the server: every key declared, of one hash tag, integers only, Lua 5.1 and 5.4.

Each takes its time from the server, so that replicas with different clocks agree. No script returns a float
or passes one to a command: `%.0f` writes integers the same in both versions of Lua.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """A text with the digest by which the server knows it."""

    text: str
    digest: str


def script(text: str) -> Script:
    """The script of a text."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


CACHE_SET = script("""
-- KEYS: value, tags.  ARGV: data, ttl_ms, new token, tag_ms, names of the tags.
-- A server out of memory refuses a script's first write or none, and DEL is never refused: so SET comes first.
redis.call('SET', KEYS[1], '')
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'data', ARGV[1])
for i = 2, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if token then
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  else
    token = ARGV[3]
    redis.call('SET', KEYS[i], token, 'PX', ARGV[4])
  end
  redis.call('HSET', KEYS[1], '#' .. ARGV[i + 3], token)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

TAKE = script("""
-- KEYS: paid.  ARGV: cost_us, burst_us.  Returns allowed, wait_us.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local paid = tonumber(redis.call('GET', KEYS[1]) or '0')
if paid < now then paid = now end
paid = paid + tonumber(ARGV[1])
local wait = paid - tonumber(ARGV[2]) - now
if wait > 0 then return {0, wait} end
local keep_ms = (paid - now - (paid - now) % 1000) / 1000 + 1
redis.call('SET', KEYS[1], string.format('%.0f', paid), 'PX', string.format('%.0f', keep_ms))
return {1, 0}
""")

ACQUIRE = script("""
-- KEYS: lease, token.  ARGV: owner, ttl_ms, above.  Returns the token, or nothing while another owner holds it.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, ' (.*)$') ~= ARGV[1] then return false end
local time = redis.call('TIME')
local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if token <= last then token = last + 1 end
if token <= tonumber(ARGV[3]) then token = tonumber(ARGV[3]) + 1 end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ' ' .. ARGV[1], 'PX', ARGV[2])
return text
""")

RENEW = script("""
-- KEYS: lease.  ARGV: held, ttl_ms.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

RELEASE = script("""
-- KEYS: lease.  ARGV: held.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
""")

PUBLISH = script("""
-- KEYS: stream.  ARGV: entries_max, then id and body of each.  Returns 0 when there is no room for all.
local coming = (#ARGV - 1) / 2
if redis.call('XLEN', KEYS[1]) + coming > tonumber(ARGV[1]) then return 0 end
for i = 2, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[i], 'body', ARGV[i + 1])
end
return 1
""")

BURY = script("""
-- KEYS: stream, dead.  ARGV: dead_max, group, place, id, body, tries, reason.
-- What may fail for want of memory comes first: an entry is acknowledged only once its letter is written.
if #redis.call('XPENDING', KEYS[1], ARGV[2], ARGV[3], ARGV[3], '1') == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'id', ARGV[4], 'body', ARGV[5], 'group', ARGV[2], 'tries', ARGV[6], 'reason', ARGV[7])
redis.call('XACK', KEYS[1], ARGV[2], ARGV[3])
if redis.call('XLEN', KEYS[2]) > tonumber(ARGV[1]) then
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', '1')
  redis.call('XDEL', KEYS[2], oldest[1][1])
end
return 1
""")
