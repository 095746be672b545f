-- What a token says (RFC 7519), read alike by whoever has checked its signature.

local strict_json = require("meristem.strict_json")

local MOST_ROLES = 100
local UNREADABLE = "the token is no JSON Web Token"
local BEARER_TYPES = {[""] = true, jwt = true, ["at+jwt"] = true, ["application/jwt"] = true,
                      ["application/at+jwt"] = true}
local TEXTS = {"jku", "kid", "x5u", "x5t", "x5t#S256", "typ", "cty"}  -- parameters that are text (RFC 7515, 4.1)

local _M = {UNREADABLE = UNREADABLE}

-- Why the header of a token says that it proves nothing here; nil where it does not.
function _M.header_problem(header)
    for _, name in ipairs(TEXTS) do
        if header[name] ~= nil and type(header[name]) ~= "string" then
            return UNREADABLE
        end
    end
    if header.crit ~= nil or header.b64 ~= nil then  -- RFC 7797: without the one the other says nothing
        return "the token has critical header parameters, of which none is understood"
    elseif not BEARER_TYPES[(header.typ or ""):lower()] then
        return "the token is of a type that proves nothing here"
    end
end

-- Whether a token is for one of an issuer's audiences, to the letter.
function _M.is_for(issuer, audience)
    if type(audience) == "string" then
        return issuer.audiences[audience]
    end
    for _, each in ipairs(strict_json.is_array(audience) and audience or {}) do
        if type(each) == "string" and issuer.audiences[each] then
            return true
        end
    end
    return false
end

-- What the claims have at a name, or at a path of names with dots.
function _M.claim(claims, path)
    if path == "" or claims[path] ~= nil then
        return claims[path]
    end
    local found = claims
    for name in path:gmatch("[^.]+") do
        if type(found) ~= "table" or strict_json.is_array(found) then
            return nil
        end
        found = found[name]
    end
    return found
end

-- Roles or scopes: a list, or one text with spaces between (RFC 6749, section 3.3).
function _M.set_of(value)
    local found, number = {}, 0
    local function take(each)
        if type(each) == "string" and number < MOST_ROLES then
            found[each], number = true, number + 1
        end
    end
    if type(value) == "string" then
        for each in value:gmatch("%S+") do
            take(each)
        end
    elseif strict_json.is_array(value) then
        for _, each in ipairs(value) do
            take(each)
        end
    end
    return found
end

return _M
