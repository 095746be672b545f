-- Whom a limit counts as one: the key of a request, by its address, its user or what else the policy names.

local sha256 = require("meristem.signatures").sha256

local LONGEST = 128  -- bytes of a key: a subject is as long as whoever made the token likes
local BETWEEN = "\31"  -- the parts of a key, none of which has it

local function short(key)
    if #key <= LONGEST and not key:find("%c") then
        return key
    end
    return "hash " .. ngx.encode_base64(sha256(key))
end

local parts = {}

function parts.address(visit)
    return visit.address
end

function parts.user(visit)
    return visit.user and short("user " .. visit.user.subject) or visit.address
end

function parts.tenant(visit)
    local tenant = visit.user and visit.user.tenant or ""
    return tenant ~= "" and short("tenant " .. tenant) or parts.user(visit)
end

function parts.api_key(visit)
    return visit.user and visit.user.key ~= "" and short("key " .. visit.user.key) or visit.address
end

function parts.route(visit)
    return "route " .. visit.route
end

function parts.everybody()
    return "everybody"
end

-- The key of a request by what a limit counts by.
return function(visit, kinds)
    if #kinds == 1 then
        return parts[kinds[1]](visit)
    end
    local found = {}
    for at, kind in ipairs(kinds) do
        found[at] = parts[kind](visit)
    end
    return table.concat(found, BETWEEN)
end
