-- The head of a request as it goes on, and that of its answer.

local policy = require "meristem.policy"

local _M = {}
-- What tells the part behind where a request came from, or who sent it: from outside none of it comes through. The
-- configuration sets those that nginx vouches for.
local OF_PROXIES = {["forwarded"] = true, ["x-real-ip"] = true, ["meristem-app"] = true, ["meristem-origin"] = true}

local function is_told_here(name)
    return OF_PROXIES[name] or name:sub(1, 12) == "x-forwarded-" or name:sub(1, 11) == "x-meristem-"
end

-- Take off a request what nobody outside may say and what a route removes, and put on what it sets. Names are compared
-- with `-` for `_`, because what stands behind can't always tell them apart.
function _M.of_request(visit, rules)
    local request = ngx.req
    for name in pairs(visit.head) do
        local plain = name:find("_", 1, true) and name:gsub("_", "-") or name
        if is_told_here(plain) or rules.gone[plain] then
            request.clear_header(name)
        end
    end
    for name, value in pairs(rules.set) do
        request.set_header(name, value)
    end
end

local function add(name, value)
    local header = ngx.header
    local there = header[name]
    if there == nil then
        header[name] = value
    elseif type(there) == "table" then
        there[#there + 1] = value
        header[name] = there
    else
        header[name] = {there, value}
    end
end

-- Shape an answer: by the rules of its route, then with what was found out about the request, and with what browsers are
-- told where it does not tell it itself. The gateway's own words are not shaped, but completed.
function _M.of_answer(visit)
    local header, rules = ngx.header, policy.routes[visit.route].answers
    for _, name in ipairs(rules.gone) do
        if name == "server" then
            header[name] = "-"  -- one that was set and is gone keeps nginx from writing its own
            header[name] = nil
        elseif not visit.refused and header[name] ~= nil then
            header[name] = nil
        end
    end
    local fields = visit.fields
    for at = 1, #fields, 2 do
        add(fields[at], fields[at + 1])
    end
    for name, value in pairs(rules.set) do
        header[name] = value
    end
    for name, value in pairs(rules[visit.scheme]) do
        if header[name] == nil then
            header[name] = value
        end
    end
end

return _M
