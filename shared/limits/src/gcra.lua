-- One atomic step of one cell, by Redis' own clock. The same arithmetic as gcra.rs.
-- KEYS[1]  the cell: its TAT in microseconds
-- ARGV     interval_us, burst, want, settle, edges
--   settle > 0: unspent permits given back; < 0: permits admitted while Redis was away
-- answers  { granted, left, wait_us }
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, settle, edges = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local stored = tonumber(redis.call('GET', KEYS[1])) or 0
-- Never past empty: what was admitted blindly must not lock the cell for longer than its window.
local tat = math.min(math.max(stored, now) - settle * interval, now + burst * interval)
tat = math.max(tat, now)

local available = math.floor((now + burst * interval - tat) / interval)
local granted = 0
if available > 0 and want > 0 then
    -- A lease takes at most its share of half of what is left, so that others find some; single
    -- permits near the limit, so that small limits are exact.
    local share = math.max(1, math.floor(available / (2 * edges)))
    granted = math.min(want, share)
    tat = tat + granted * interval
end

if tat > now then
    redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
else
    redis.call('DEL', KEYS[1])
end
local wait = math.max(0, tat + interval - now - burst * interval)
return { granted, available - granted, wait }
