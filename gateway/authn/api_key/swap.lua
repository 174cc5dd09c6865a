-- Puts ARGV[2] in the place of ARGV[1] at KEYS[1]; what stands there otherwise stays. The time that
-- is left of it does not change. The reply is 1 where it was done, else 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
