-- Who sends a request, found out once, and whether a route lets them in.

local policy = require "meristem.policy"
local api_keys = require "meristem.api_keys"
local tokens = require "meristem.tokens"
local refused = require("meristem.refusal").refused

local MARK = "mk_"  -- what an API key begins with, by which it is told from a token
local ASKED = {key = "an API key", user = "a token"}

-- The token in an `authorization` field; nil for another scheme than Bearer (RFC 6750, section 2.1).
local function bearer_of(authorization)
    local scheme, token = (authorization or ""):match("^([^ ]*) ?(.*)$")
    return scheme:lower() == "bearer" and token:match("^%s*(.-)%s*$") or nil
end

-- Whose credential a request has; nil where it has none, or why it proves nothing, and whether that can't be told now.
local function find(visit)
    local bearer, key = bearer_of(visit.head.authorization), visit.head["x-api-key"]
    if key then
        if bearer then  -- RFC 6750, section 2: one of them alone
            return nil, "there are two credentials; send one"
        elseif key:sub(1, #MARK) ~= MARK then
            return nil, "the API key is not known"
        end
        bearer = key
    end
    if not bearer then
        return nil
    elseif bearer:sub(1, #MARK) == MARK then
        return api_keys.find(bearer)
    elseif next(policy.issuers) == nil then
        return nil, "tokens are not taken here"
    end
    return tokens.find(bearer)
end

local function unproved(visit, why, is_away)
    if is_away then
        visit.by = "issuer"
        return refused(503, why, {"Retry-After", "5", "Cache-Control", "no-store"})
    end
    visit.by, visit.violation = "token", "unauthenticated"
    local challenge = ('Bearer error="invalid_token", error_description="%s"'):format(why)
    return refused(401, why, {"WWW-Authenticate", challenge, "Cache-Control", "no-store"})
end

local function forbidden(visit, why, challenge)
    visit.by = "permission"
    local fields = {"Cache-Control", "no-store"}
    if challenge then
        fields[3], fields[4] = "WWW-Authenticate", challenge
    end
    return refused(403, why, fields)
end

-- The refusal of who is not what a route requires; nil for who may go on, whom the visit then knows.
return function(visit, require)
    local kind = require.kind
    local user, why, is_away = find(visit)
    local asked = ASKED[kind] or "a token or an API key"
    if why then
        return unproved(visit, why, is_away)
    elseif not user then
        if kind == "anybody" or require.sessions then  -- of who has signed in the edge knows
            return nil
        end
        visit.by = "credentials"
        local fields = {"WWW-Authenticate", "Bearer", "Cache-Control", "no-store"}
        return refused(401, "send " .. asked .. ", as `Authorization: Bearer …`", fields)
    end
    if kind == (user.key ~= "" and "user" or "key") then
        local shown = user.key ~= "" and "an API key" or "a token"
        return forbidden(visit, shown .. " is not enough here; send " .. asked)
    end
    visit.user = user
    visit.fields[#visit.fields + 1] = "cache-control"
    visit.fields[#visit.fields + 1] = "private"
    for _, scope in ipairs(require.scopes) do
        if not user.scopes[scope] then
            local wanted = table.concat(require.scopes, " ")
            return forbidden(visit, "this needs the scope " .. wanted,
                ('Bearer error="insufficient_scope", scope="%s"'):format(wanted))
        end
    end
    for _, role in ipairs(require.roles) do
        if user.roles[role] then
            return nil
        end
    end
    return #require.roles > 0 and forbidden(visit, "this needs a role that you have not") or nil
end
