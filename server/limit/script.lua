-- Decides about one use of one identity, as a whole.
-- KEYS: the buckets, the requests under way (both of one identity, in one slot).
-- ARGV: requests the bucket holds, per second; tokens the bucket holds, per second; most at the same time (0: any);
--       requests to take; tokens to take (negative: to give back); tokens that must be there;
--       name of a request to enter, to leave ('' for none); milliseconds after which an abandoned one is forgotten.
-- Returns: 0 or what refuses (1 concurrency, 2 requests, 3 tokens), thousandths of requests left, tokens left,
--          microseconds to wait. The clock is Redis' own.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local holds = {tonumber(ARGV[1]), tonumber(ARGV[3])}
local rate = {tonumber(ARGV[2]), tonumber(ARGV[4])}
local most = tonumber(ARGV[5])
local amount = {tonumber(ARGV[6]), tonumber(ARGV[7])}
local needed = {tonumber(ARGV[6]), tonumber(ARGV[8])}
local enter, leave, lease = ARGV[9], ARGV[10], tonumber(ARGV[11])

local names = {'requests', 'requests_at', 'tokens', 'tokens_at'}
local stored = redis.call('HMGET', KEYS[1], unpack(names))
local level = {}
for i = 1, 2 do
	level[i] = holds[i]
	local before, at = stored[2 * i - 1], stored[2 * i]
	if before and at then
		level[i] = math.min(holds[i], tonumber(before) + math.max(now - tonumber(at), 0) * rate[i] / 1000000)
	end
end

if leave ~= '' then redis.call('ZREM', KEYS[2], leave) end
local refused, wait = 0, 0
if enter ~= '' and most > 0 then
	redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
	if redis.call('ZCARD', KEYS[2]) >= most then refused = 1 end
end
for i = 1, 2 do
	if refused == 0 and rate[i] > 0 and needed[i] > 0 and level[i] < needed[i] then
		refused, wait = i + 1, (needed[i] - level[i]) / rate[i] * 1000000
	end
end
if refused == 0 then
	for i = 1, 2 do
		if rate[i] > 0 then level[i] = math.min(level[i] - amount[i], holds[i]) end
	end
	if enter ~= '' and most > 0 then
		redis.call('ZADD', KEYS[2], now + lease * 1000, enter)
		redis.call('PEXPIRE', KEYS[2], 2 * lease)
	end
	-- A bucket that has filled up needs no memory.
	local full = -1
	for i = 1, 2 do
		if rate[i] > 0 then
			redis.call('HSET', KEYS[1], names[2 * i - 1], string.format('%.6f', level[i]), names[2 * i], string.format('%.0f', now))
			full = math.max(full, math.min((holds[i] - level[i]) / rate[i], 30 * 24 * 3600))
		end
	end
	if full >= 0 then redis.call('PEXPIRE', KEYS[1], math.ceil(full * 1000) + 1000) end
end
return {refused, math.floor(level[1] * 1000), math.floor(level[2]), math.ceil(wait)}
