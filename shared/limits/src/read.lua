-- How far a cell has come, by Redis' own clock. KEYS[1]: the cell; ARGV: unit, drain (-1: at once).
local unit, drain = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = redis.call('HMGET', KEYS[1], 'level', 'at')
if not stored[1] then return 0 end
local time = redis.call('TIME')
local elapsed = math.max(0, time[1] * 1000000 + time[2] - tonumber(stored[2]))
local level = tonumber(stored[1])
if drain > 0 then level = math.max(0, level - drain * elapsed) end
return math.ceil(level / unit)
