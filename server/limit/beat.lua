-- Tells the other replicas that this one lives and counts them. The clock is Redis' own.
-- KEYS: the living replicas. ARGV: this one, milliseconds after which a silent one is not counted any more.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2] * 1000, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
