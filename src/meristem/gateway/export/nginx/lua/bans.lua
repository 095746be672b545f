-- Who is banned: addresses that were refused too often, for a while.

local policy = require "meristem.policy"
local tell_dry = require "meristem.dry_runs"
local networks = require "meristem.networks"
local refused = require("meristem.refusal").refused

local ban = policy.ban
local trusted = assert(networks.of(policy.trusted))
local known = ngx.shared.meristem_bans
local _M = {}

-- The refusal of an address that is banned.
function _M.check(visit)
    local why = known:get("ban " .. visit.address)
    if not why or trusted:has(visit.bytes) then
        return nil
    end
    if ban.dry then
        tell_dry("the address is banned: " .. why)
        return nil
    end
    visit.by, visit.why = "ban", "the address is banned: " .. why
    if ban.cut then
        return {status = 444}
    end
    return refused(403, "this address was refused too often, and is banned for a while")
end

-- A request was refused for what its address is to blame for: of so many within a time it is banned.
function _M.blame(visit, why)
    local address = visit.address
    if not ban.counts[visit.violation] or trusted:has(visit.bytes) or known:get("ban " .. address) then
        return
    end
    local number = assert(known:incr("count " .. address, 1, 0, ban.within))
    if number >= ban.violations then
        known:delete("count " .. address)
        known:set("ban " .. address, number .. " violations, the last one: " .. why, ban.lasts)
        local told = ban.dry and " would be banned (dry run) for " or " is banned for "
        ngx.log(ngx.WARN, visit.client, told, ban.lasts, " s: ", why)
    end
end

return _M
