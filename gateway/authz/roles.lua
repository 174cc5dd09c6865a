-- Puts ARGV[2] in the place of ARGV[1] at KEYS[1]; what stands there otherwise stays. Nothing stands
-- for no record. The time that is left of it does not change. The reply is 1 if it was done, else 0.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
return 1
