-- Counts dead letters. KEYS: see dead_letters.py.
-- The reply has names and numbers in turn: "kept ENDPOINT" and "trimmed ENDPOINT".

return redis.call('HGETALL', KEYS[3])
