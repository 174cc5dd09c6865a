-- Head of one writer of audit files: KEYS[1]; ARGV: its sequence number, the record, time to keep it
-- in milliseconds. An older head never replaces a newer one. Returns 1 where it was written.
local known = redis.call('GET', KEYS[1])
if known then
  local seq = tonumber(string.match(known, '"seq":(%d+)'))
  if seq and seq >= tonumber(ARGV[1]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
