-- Makes a change, and records the events that tell of it, in one step: neither is there without the
-- other. The script of the change is put in below.
--   KEYS  the key of the change; the outbox, a stream
--   ARGV  how many events the outbox may hold; how many events there are; for each the event and
--         the endpoints of which its recorder knows; then what the change takes
-- The reply: what the change replied; and how many events found room, or -1 where it replied 0:
-- then nothing was changed, and nothing is told.

local room, many = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('XLEN', KEYS[2])  -- first: where it is no stream, nothing is changed
local function change(KEYS, ARGV)
--CHANGE
end
local reply = change({KEYS[1]}, {unpack(ARGV, 3 + 2 * many)})
if reply == 0 then
  return {reply, -1}
end
for i = 1, many do
  if held >= room then
    return {reply, i - 1}
  end
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[1 + 2 * i], 'endpoints', ARGV[2 + 2 * i])
  held = held + 1
end
return {reply, many}
