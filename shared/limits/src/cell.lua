-- One atomic step of one cell, by Redis' own clock: an edge says what it did and holds, and asks for more.
-- `tests/model.rs` is the same in Rust; a test compares them.
--
-- KEYS[1]  the cell, a hash: born, version, level, at, limit, told; former, base, base_version: how much of the
--          level was healed, from which version of which former life; and for each edge a field of its name:
--          "since turn spent held until"
-- Invariant: level >= unit × what edges hold. What is leased is taken, and does not drain before it is spent,
-- given back or lapsed; so a lease can shift a permit, and never adds one.
local edge, since, turn = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local unit, drain, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]) -- drain -1: at once
local keep_ms, life_us, edges = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local spent, hold, want, need = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local known = { -- what the edge was told last: heals a cell that was lost or went back in time
    born = tonumber(ARGV[14]), version = tonumber(ARGV[15]), level = tonumber(ARGV[16]), at = tonumber(ARGV[17]),
    spent = tonumber(ARGV[18]), held = tonumber(ARGV[19]),
}
local channel = ARGV[20]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cell, records, fields = {}, {}, redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    local number = tonumber(fields[i + 1])
    if number then
        cell[fields[i]] = number
    else
        local r = {}
        for part in string.gmatch(fields[i + 1], '%d+') do r[#r + 1] = tonumber(part) end
        records[fields[i]] = { since = r[1], turn = r[2], spent = r[3], held = r[4], til = r[5] }
    end
end
local born, version, level, at = cell.born or now, cell.version or 0, cell.level or 0, cell.at or now

local former, base, base_version = cell.former or 0, cell.base or 0, cell.base_version or 0

local mine = records[edge]
if mine and (since < mine.since or (since == mine.since and turn <= mine.turn)) then
    return { -1, 0, 0, 0, 0, 0 } -- overtaken by a later question of the same edge
end
if now < at then -- the clock was set back
    at = now
    for _, r in pairs(records) do r.til = math.min(r.til, now + life_us) end
end

-- Drain, lease by lapsing lease.
local function live(r) return drain == 0 or r.til > now end
local held_by_all, lapsing = 0, {}
for _, r in pairs(records) do
    if drain == 0 or r.til > at then
        held_by_all = held_by_all + r.held
        if not live(r) then lapsing[#lapsing + 1] = r end
    end
end
table.sort(lapsing, function(a, b) return a.til < b.til end)
if drain > 0 then base = math.max(0, base - drain * math.max(0, now - at)) end
local function drain_until(instant)
    if drain > 0 then level = level - drain * (instant - at) elseif drain < 0 then level = 0 end
    level = math.max(level, held_by_all * unit)
    at = instant
end
for _, r in ipairs(lapsing) do
    drain_until(r.til)
    held_by_all = held_by_all - r.held
end
drain_until(now)

local function text(number) return string.format('%.0f', number) end
local function keep(name, r)
    local words = { text(r.since), text(r.turn), text(r.spent), text(r.held), text(r.til) }
    redis.call('HSET', KEYS[1], name, table.concat(words, ' '))
end

-- Of a smaller limit others hold nothing: what was leased to them under the greater is taken for spent.
local shrunk = drain > 0 and cell.limit and limit < cell.limit
if shrunk then
    for name, r in pairs(records) do
        if name ~= edge and live(r) then
            held_by_all = held_by_all - r.held
            r.til = now
            keep(name, r)
        end
    end
end
local function eighths() return math.min(7, math.floor(8 * level / math.max(1, limit * unit))) end
local told = math.min(cell.told or 0, eighths())

-- Heal what was lost. Of a former life several edges tell, each up to the version that it knew: what the next
-- one knows beyond the last is added to what was taken in this life.
local booked, is_live = known, drain == 0
if known.born > 0 and drain >= 0 and (not cell.born or born ~= known.born or version < known.version) then
    local hint = math.max(0, known.level - drain * math.max(0, now - known.at))
    if born ~= known.born and (former == 0 or former == known.born) then
        if known.version > base_version then
            level = level + math.max(0, hint - base)
            former, base, base_version = known.born, math.max(hint, base), known.version
        end
    else
        level = math.max(level, hint)
        version = math.max(version, known.version)
    end
elseif mine and mine.since == since then
    booked, is_live = mine, live(mine)
end

-- Book what the edge did since. Only while its lease lives does anything come back.
if mine and live(mine) then held_by_all = held_by_all - mine.held end
held_by_all = held_by_all + hold
local more = hold + math.max(0, spent - booked.spent) - booked.held
if more > 0 or is_live then level = level + more * unit end
if drain > 0 then
    -- What was admitted blindly must not lock the cell for long; nor must a smaller limit.
    level = math.min(level, (shrunk and 1 or 2) * limit * unit)
elseif drain < 0 then
    level = 0
end
level = math.max(level, held_by_all * unit, 0)

-- Grant.
local available = math.max(0, limit - math.ceil(level / unit))
local granted = math.min(want, available, math.max(need, math.floor(available / (2 * edges)), 1))
level = level + granted * unit
available = available - granted

-- Keep, and tell the other edges of each eighth that is taken.
for name, r in pairs(records) do
    if r.til + 600000000 < now then redis.call('HDEL', KEYS[1], name) end
end
local tell = eighths() > told
version = version + 1
redis.call('HSET', KEYS[1], 'born', text(born), 'version', text(version), 'level', text(level), 'at', text(now),
    'limit', text(limit), 'told', text(eighths()),
    'former', text(former), 'base', text(base), 'base_version', text(base_version))
keep(edge, { since = since, turn = turn, spent = spent, held = hold + granted, til = now + life_us })
if drain > 0 then
    keep_ms = math.max(keep_ms, math.ceil(level / drain / 1000))
elseif drain == 0 then
    keep_ms = math.max(86400000, keep_ms - math.floor(now / 1000)) -- said as an instant
end
redis.call('PEXPIRE', KEYS[1], keep_ms)
if tell then
    local words = { KEYS[1], text(born), text(version), text(level), text(now) }
    redis.call('PUBLISH', channel, table.concat(words, ' '))
end
return { granted, available, level, now, born, version }
