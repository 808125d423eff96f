-- Keeps requests counted that are still under way, and counts them again after Redis has lost its memory.
-- KEYS: the requests under way of one identity. ARGV: milliseconds after which an abandoned one is forgotten, their names.
local time = redis.call('TIME')
local expires = time[1] * 1000000 + time[2] + ARGV[1] * 1000
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], expires, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[1])
return 0
