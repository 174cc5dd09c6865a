-- Reads the issuers of an email address, those whose sessions end last before the others.
--   KEYS  the issuers
-- The reply is the issuers; expired ones may be among them.

return redis.call('ZREVRANGE', KEYS[1], 0, -1)
