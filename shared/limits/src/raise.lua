-- A quota's cell has come at least as far as what was counted. KEYS[1]: the cell; ARGV: how far, the limit, when
-- the period ends (ms).
local counted = tonumber(ARGV[1])
local stored = redis.call('HMGET', KEYS[1], 'born', 'level')
if stored[1] and tonumber(stored[2]) >= counted then return 0 end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
if not stored[1] then
    -- A new life of the cell. `base`: what edges remember of the former one contains what was counted, so only
    -- what they know beyond it is added when they heal the cell (cell.lua).
    redis.call('HSET', KEYS[1], 'born', now, 'version', '1', 'limit', ARGV[2], 'told', '0',
        'former', '0', 'base', ARGV[1], 'base_version', '0')
end
redis.call('HSET', KEYS[1], 'level', ARGV[1], 'at', now)
redis.call('PEXPIREAT', KEYS[1], math.max(tonumber(ARGV[3]), time[1] * 1000 + 86400000))
return 1
