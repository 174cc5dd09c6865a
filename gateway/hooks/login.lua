-- Marks a DID token as used and records that a person has signed in, in one step: neither is there
-- without the other, and the first sign-in of a person is recorded once.
--   KEYS  the mark of the token; the marker of the person's first sign-in; the outbox, a stream
--   ARGV  when the mark ends (Unix time in milliseconds); how many events the outbox may hold, of
--         any kind and of first sign-ins; the id of the first sign-in; both events, of the sign-in
--         and of the first one: "" for what no endpoint wants; the endpoints of each; and "known" to
--         sign in only a person who has signed in before
-- The reply has three numbers: 1 (signed in), 0 (the token was used before), -1 (no room for the
-- event of a first sign-in: nothing was done) or -2 (not known: nothing was done); 1 where it was
-- the first, else 0; and 1 where the event of the sign-in found no room, else 0.

local mark, marker, outbox = KEYS[1], KEYS[2], KEYS[3]
local ends, room, room_of_first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local id, login, first_login, of_login, of_first = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
if ARGV[9] == 'known' and redis.call('EXISTS', marker) == 0 then
  return {-2, 1, 0}
end
if not redis.call('SET', mark, '1', 'PXAT', ends, 'NX') then
  return {0, 0, 0}
end
local is_first = redis.call('EXISTS', marker) == 0
local held = (login ~= '' or first_login ~= '') and redis.call('XLEN', outbox) or 0
if is_first and first_login ~= '' and held >= room_of_first then
  redis.call('DEL', mark)
  return {-1, 1, 0}
end
if is_first then
  if first_login ~= '' then
    local place = redis.call('XADD', outbox, '*', 'event', first_login, 'endpoints', of_first)
    local since = string.match(place, '^%d+')  -- the time, in Unix milliseconds
    redis.call('HSET', marker, 'state', 'pending', 'event', id, 'since', since)
    held = held + 1
  else
    redis.call('HSET', marker, 'state', 'done', 'event', id)
  end
end
local is_lost = login ~= '' and held >= room
if login ~= '' and not is_lost then
  redis.call('XADD', outbox, '*', 'event', login, 'endpoints', of_login)
end
return {1, is_first and 1 or 0, is_lost and 1 or 0}
