-- Cross-origin requests (Fetch standard, 3.3): preflights are answered here, and answers say who may read them.

local refusal = require "meristem.refusal"

local find = ngx.re.find
local VARIES_BY_ASKED = "origin, access-control-request-method, access-control-request-headers"
local _M = {}

-- Whether a browser asks if it may send a request to another origin.
function _M.is_preflight(visit)
    return visit.method == "OPTIONS" and visit.head.origin ~= nil and visit.head["access-control-request-method"] ~= nil
end

local function allows(cors, origin)
    return cors.any or cors.origins[origin] or (cors.below ~= "" and find(origin, cors.below, "jo") ~= nil)
end

local function add(visit, name, value)
    local fields = visit.fields
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end

local function allow(visit, cors, origin)
    add(visit, "access-control-allow-origin", cors.any and "*" or origin)
    if cors.credentials then
        add(visit, "access-control-allow-credentials", "true")
    end
end

local function preflight(visit, cors)
    local head = visit.head
    local origin, method = head.origin, head["access-control-request-method"]
    add(visit, "vary", VARIES_BY_ASKED)
    if not allows(cors, origin) then
        return refusal.refused(403, "no page of this origin may send requests here")
    end
    allow(visit, cors, origin)
    if not cors.methods[method] then
        return refusal.refused(403, "no other origin may send " .. method .. " here")
    end
    for each in (head["access-control-request-headers"] or ""):lower():gmatch("[^,]+") do
        local name = each:match("^%s*(.-)%s*$")
        if name ~= "" and not cors.headers[name] then
            return refusal.refused(403, "no other origin may send the field '" .. name .. "' here")
        end
    end
    add(visit, "access-control-allow-methods", cors.granted.methods)
    if cors.granted.headers ~= "" then
        add(visit, "access-control-allow-headers", cors.granted.headers)
    end
    add(visit, "access-control-max-age", cors.granted.max_age)
    return refusal.answer(204)
end

-- The answer to a preflight; of another request its answer says that its origin may read it, or nothing.
function _M.check(visit, cors)
    if _M.is_preflight(visit) then
        return preflight(visit, cors)
    end
    if not cors.any then
        add(visit, "vary", "origin")
    end
    local origin = visit.head.origin
    if origin and allows(cors, origin) then
        allow(visit, cors, origin)
        if cors.expose ~= "" then
            add(visit, "access-control-expose-headers", cors.expose)
        end
    end
end

return _M
