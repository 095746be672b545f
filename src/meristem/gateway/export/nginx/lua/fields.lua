-- The head of a request as it goes on, and that of its answer.

local policy = require "meristem.policy"

local byte, find, gsub = string.byte, string.find, string.gsub
local F, M, X = byte("fmx", 1, 3)

local _M = {}
-- What tells the part behind where a request came from, or who sent it: from outside none of it comes through. The
-- configuration sets those that nginx vouches for.
local OF_PROXIES = {
    ["forwarded"] = true, ["x-real-ip"] = true,
    ["meristem-app"] = true, ["meristem-origin"] = true, ["meristem-route"] = true,
}

local function is_told_here(name)
    return OF_PROXIES[name] or find(name, "^x%-forwarded%-") or find(name, "^x%-meristem%-")
end

-- Take off a request what nobody outside may say and what a route removes, and put on what it sets. Names are compared
-- with `-` for `_`, because what stands behind can't always tell them apart.
function _M.of_request(visit, rules)
    local request = ngx.req
    for name in pairs(visit.head) do
        local plain = find(name, "_", 1, true) and gsub(name, "_", "-") or name
        local first = byte(plain)
        if rules.gone[plain] or (first == F or first == M or first == X) and is_told_here(plain) then
            request.clear_header(name)
        end
    end
    local set = rules.set
    for at = 1, #set, 2 do
        request.set_header(set[at], set[at + 1])
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
    elseif there ~= value then
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
    if visit.limits_told and not visit.refused then  -- those of the edge behind count less than has come here
        header["ratelimit"], header["ratelimit-policy"] = nil, nil
    end
    local fields = visit.fields
    for at = 1, #fields, 2 do
        add(fields[at], fields[at + 1])
    end
    local set, defaults = rules.set, rules[visit.scheme]
    for at = 1, #set, 2 do
        header[set[at]] = set[at + 1]
    end
    for at = 1, #defaults, 2 do
        if header[defaults[at]] == nil then
            header[defaults[at]] = defaults[at + 1]
        end
    end
end

return _M
