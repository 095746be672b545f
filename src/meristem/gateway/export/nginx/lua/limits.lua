-- Rate limits as token buckets of one number each (GCRA, ITU-T I.371): when the next request of a key would be on time.
-- All limits of a route are looked at before any is charged; who is refused by one is charged by none.

local ffi = require "ffi"
local lrucache = require "resty.lrucache"
local tell_dry = require "meristem.dry_runs"
local policy = require "meristem.policy"
local key_of = require "meristem.requesters"
local sha256 = require("meristem.signatures").sha256
local refused = require("meristem.refusal").refused

ffi.cdef [[
extern volatile uintptr_t ngx_current_msec;
]]

local C = ffi.C
local ceil, floor, max = math.ceil, math.floor, math.max
local EXACT = 1e-9  -- seconds: sums of intervals are not exact, and this is no request
local due_of = ngx.shared.meristem_limits
local shown = assert(lrucache.new(1000))
local _M = {}

-- Seconds of a clock that never goes back, the same for all workers; nginx's own limits go by it, too.
local function clock()
    return tonumber(C.ngx_current_msec) / 1000
end

-- The key of a limit as others may see it: of who is counted nothing can be read.
local function partition(asked)
    if asked.limit.by[1] == "everybody" then
        return ""
    end
    local found = shown:get(asked.key)
    if not found then
        found = ";pk=:" .. ngx.encode_base64(sha256(asked.key):sub(1, 6)) .. ":"
        shown:set(asked.key, found)
    end
    return found
end

-- How a limit stands for a key (draft-ietf-httpapi-ratelimit-headers-09).
local function tell(visit, asked, is_taken)
    local limit, left, until_then = asked.limit, 0, asked.ahead - asked.limit.tolerance
    if asked.allowed then
        left, until_then = floor((limit.tolerance - asked.ahead) / limit.interval + 1e-6), asked.ahead
        if is_taken then
            until_then = until_then + limit.interval
        else
            left = left + 1
        end
    end
    visit.limits_told = true
    local fields, part = visit.fields, partition(asked)
    local at = #fields
    fields[at + 1], fields[at + 2] = "ratelimit-policy", limit.policy .. part
    fields[at + 3], fields[at + 4] = "ratelimit", ('"%s";r=%d;t=%d%s'):format(limit.name, left, ceil(until_then), part)
end

local function look(visit, limit, now)
    local key = limit.name .. " " .. key_of(visit, limit.by)
    local due = due_of:get(key) or 0
    local ahead = max(0, due - now)
    return {
        limit = limit, key = key, due = due, ahead = ahead, allowed = ahead <= limit.tolerance + EXACT,
        refuses = ahead > limit.tolerance + EXACT and not limit.dry,
    }
end

-- Take one request, at once with other workers: where one of them came in between, it counts as having come before.
local function charge(asked, now)
    local limit, key = asked.limit, asked.key
    local rested = asked.due > 0 and max(0, now - asked.due) or 0
    local due = assert(due_of:incr(key, rested + limit.interval, now))
    if rested > 0 and due - limit.interval > now + EXACT then  -- that one has moved it to now already
        due = assert(due_of:incr(key, -rested))
    end
    due_of:expire(key, due - now + 1)
    asked.ahead = max(0, due - limit.interval - now)
    asked.allowed = asked.ahead <= limit.tolerance + EXACT
    return asked.allowed
end

-- Undo what limits took for a request that is refused.
function _M.give_back(visit)
    for _, asked in ipairs(visit.charges) do
        due_of:incr(asked.key, -asked.limit.interval)
    end
    visit.charges = {}
end

local function refuse(visit, all, by, is_crowded)
    local limit = by.limit
    for _, asked in ipairs(all) do
        if not asked.limit.dry then
            tell(visit, asked, false)
        end
    end
    _M.give_back(visit)
    visit.by = limit.name
    visit.violation = limit.personal and not is_crowded and "limited" or nil
    local after = max(1, ceil(is_crowded and by.delay or by.ahead - limit.tolerance))
    local why = is_crowded
        and ("as many requests wait for their turn in the limit '%s' as may"):format(limit.name)
        or ("the limit '%s' allows no more requests now"):format(limit.name)
    return refused(limit.status, ("%s; try again in %d s"):format(why, after), {"Retry-After", after})
end

-- A request waits for its turn; who leaves meanwhile is taken off the count when its request ends.
local function wait(visit, asked)
    local key = "waiting " .. asked.limit.name
    due_of:incr(key, 1, 0)
    visit.waits = key
    ngx.sleep(asked.delay)
    _M.leave(visit)
end

function _M.leave(visit)
    if visit.waits then
        due_of:incr(visit.waits, -1)
        visit.waits = nil
    end
end

-- The refusal by some limits, named in the order of the route; nil for what may go on, when its turn has come.
function _M.check(visit, names)
    local now, all, refusing = clock(), {}, nil
    for at, name in ipairs(names) do
        local asked = look(visit, policy.limits[name], now)
        all[at] = asked
        if asked.refuses
            and (not refusing or asked.ahead - asked.limit.tolerance > refusing.ahead - refusing.limit.tolerance) then
            refusing = asked
        end
    end
    if refusing then
        return refuse(visit, all, refusing)
    end
    local slowest
    for _, asked in ipairs(all) do
        local limit = asked.limit
        asked.delay = asked.allowed and not limit.dry and limit.free and max(0, asked.ahead - limit.free) or 0
        if asked.delay > (slowest and slowest.delay or 0) then
            slowest = asked
        end
    end
    if slowest and (due_of:get("waiting " .. slowest.limit.name) or 0) >= slowest.limit.waiting then
        return refuse(visit, all, slowest, true)
    end
    for _, asked in ipairs(all) do
        if not asked.allowed then  -- it runs dry
            tell_dry("the limit " .. asked.limit.name .. " allows no more requests now")
        elseif charge(asked, now) or asked.limit.dry then
            visit.charges[#visit.charges + 1] = asked
        else  -- other workers have taken the last ones
            due_of:incr(asked.key, -asked.limit.interval)
            return refuse(visit, all, asked)
        end
    end
    for _, asked in ipairs(all) do
        if not asked.limit.dry then
            tell(visit, asked, true)
        end
    end
    if slowest then
        wait(visit, slowest)
    end
end

return _M
