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

RESERVE = script("""
-- KEYS: since, then accounts.  ARGV: day, id, hold_ms, tell_ms, world, nano, tokens; then of each account: its caps
-- (nano, tokens; 0 is none), what the caller knows that the world has spent (nano, tokens), and how long to keep it.
-- Returns {1, expires_ms}; {0, account without room}; {-1, day} when the caller's is another one;
-- {-2, wait_ms} while the server is so new that replicas may not have told it yet what they know.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + (tonumber(time[2]) - tonumber(time[2]) % 1000) / 1000
local day = (tonumber(time[1]) - tonumber(time[1]) % 86400) / 86400
if string.format('%.0f', day) ~= ARGV[1] then return {-1, string.format('%.0f', day)} end
local since = redis.call('GET', KEYS[1])
if not since then
  since = string.format('%.0f', now)
  redis.call('SET', KEYS[1], since)
end
local wait = tonumber(since) + tonumber(ARGV[4]) - now
if wait > 0 then return {-2, string.format('%.0f', wait)} end
local nano, tokens = tonumber(ARGV[6]), tonumber(ARGV[7])
for i = 2, #KEYS do
  local at = 8 + (i - 2) * 5
  local money, words, seen = nano, tokens, false
  local fields = redis.call('HGETALL', KEYS[i])
  for j = 1, #fields, 2 do
    local a, b, ends = string.match(fields[j + 1], '^(%d+) (%d+) ?(%d*)$')
    if ends ~= '' and tonumber(ends) <= now then
      redis.call('HDEL', KEYS[i], fields[j])
    else
      money, words = money + tonumber(a), words + tonumber(b)
    end
    if fields[j] == 's:' .. ARGV[5] then seen = true end
  end
  if not seen then
    money, words = money + tonumber(ARGV[at + 2]), words + tonumber(ARGV[at + 3])
    redis.call('HSET', KEYS[i], 's:' .. ARGV[5], ARGV[at + 2] .. ' ' .. ARGV[at + 3])
    redis.call('PEXPIRE', KEYS[i], ARGV[at + 4])
  end
  local cap, words_cap = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if (cap > 0 and money > cap) or (words_cap > 0 and words > words_cap) then return {0, i - 1} end
end
local ends = string.format('%.0f', now + tonumber(ARGV[3]))
for i = 2, #KEYS do
  redis.call('HSET', KEYS[i], 'h:' .. ARGV[2], ARGV[6] .. ' ' .. ARGV[7] .. ' ' .. ends)
end
return {1, ends}
""")

SETTLE = script("""
-- KEYS: accounts.  ARGV: id, world, nano, tokens; then of each account: what the caller knows that the world has
-- spent, this included (nano, tokens), and how long to keep it.
-- A reservation that is there is charged and taken away, so a second try finds none and charges nothing twice.
-- Without one (the server lost its memory, or never heard of it) the caller's own sum holds, where it is larger.
for i = 1, #KEYS do
  local at = 5 + (i - 1) * 3
  local a, b = 0, 0
  local spent = redis.call('HGET', KEYS[i], 's:' .. ARGV[2])
  if spent then a, b = string.match(spent, '^(%d+) (%d+)$') end
  a, b = tonumber(a), tonumber(b)
  local known_a, known_b = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if redis.call('HDEL', KEYS[i], 'h:' .. ARGV[1]) == 1 and spent then
    a, b = a + tonumber(ARGV[3]), b + tonumber(ARGV[4])
  else
    if known_a > a then a = known_a end
    if known_b > b then b = known_b end
  end
  redis.call('HSET', KEYS[i], 's:' .. ARGV[2], string.format('%.0f %.0f', a, b))
  redis.call('PEXPIRE', KEYS[i], ARGV[at + 2])
end
return 1
""")

TELL = script("""
-- KEYS: account.  ARGV: ttl_ms, then of each world its name and what it has spent (nano, tokens).
-- What the server knows of a world stays; only what it has forgotten is filled in.
for i = 2, #ARGV, 3 do
  if not redis.call('HGET', KEYS[1], 's:' .. ARGV[i]) then
    redis.call('HSET', KEYS[1], 's:' .. ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
""")
