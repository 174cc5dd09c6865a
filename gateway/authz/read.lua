-- A value that another program wrote.
--   KEYS  the record
-- Unlike MGET, fails where the key holds anything but a string: that is not the same as nothing.

return redis.call('GET', KEYS[1])
