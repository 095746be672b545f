-- Bounds on how many requests are in flight at once, by the same keys as rate limits.

local tell_dry = require "meristem.dry_runs"
local policy = require "meristem.policy"
local key_of = require "meristem.requesters"
local limits = require "meristem.limits"
local refused = require("meristem.refusal").refused

local inside = ngx.shared.meristem_crowds
local _M = {}

-- The refusal of a request beside which too many are in flight; nil for one that is in flight now until it leaves.
function _M.check(visit, name)
    local crowd = policy.crowds[name]
    local key = name .. " " .. key_of(visit, crowd.by)
    local number = assert(inside:incr(key, 1, 0))
    visit.held[#visit.held + 1] = key
    if number <= crowd.requests then
        return nil
    end
    local why = ("as many requests are in flight as the limit '%s' allows"):format(name)
    if crowd.dry then
        tell_dry(why)
        return nil
    end
    limits.give_back(visit)
    visit.by, visit.violation = name, crowd.personal and "limited" or nil
    return refused(crowd.status, why .. "; try again when one of them has its answer", {"Retry-After", "1"})
end

-- It has its answer, or none will come.
function _M.leave(visit)
    for _, key in ipairs(visit.held) do
        inside:incr(key, -1)
    end
    visit.held = {}
end

return _M
