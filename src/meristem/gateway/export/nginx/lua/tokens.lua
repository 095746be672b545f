-- Tokens (RFC 7519): read so that nothing in them has two meanings, checked, and made who somebody is.

local lrucache = require "resty.lrucache"
local policy = require "meristem.policy"
local issuer_keys = require "meristem.issuer_keys"
local signatures = require "meristem.signatures"
local strict_json = require "meristem.strict_json"
local token_claims = require "meristem.token_claims"

local LONGEST = 16 * 1024  -- characters of a token
local LONGEST_TEXT = 255  -- characters of a subject (OpenID Connect Core 1.0, section 2), and of each other part
local REMEMBERED = 10000  -- tokens that were verified
local OF_KEYS = "key:"  -- what the subject of an API key begins with: no issuer can name one
local null = strict_json.null
local claim, set_of, UNREADABLE = token_claims.claim, token_claims.set_of, token_claims.UNREADABLE

local by_url = {}
local verified = assert(lrucache.new(REMEMBERED))
local _M = {}

-- The secret that an issuer shares with this system, from its variable or from the file that another one names.
local function secret_of(issuer)
    local found = os.getenv(issuer.secret)
    local path = os.getenv(issuer.secret .. "_FILE")
    if not found and path then
        local file = assert(io.open(path, "rb"))
        found = file:read("*a"):gsub("%s+$", "")
        file:close()
    end
    assert(found and #found >= 32, issuer.secret .. " has to hold the secret of the issuer, of 32 bytes at least")
    return found
end

for _, issuer in pairs(policy.issuers) do
    by_url[issuer.issuer] = issuer
    issuer.shared = issuer.secret and secret_of(issuer)
end

local function text_of(values, name)
    local found = values[name]
    return type(found) == "string" and found or ""
end

local function short(value)
    if type(value) ~= "string" then
        return ""
    end
    local characters = 0
    for at = 1, #value do
        local each = value:byte(at)
        if each < 0x80 or each >= 0xC0 then
            characters = characters + 1
            if characters > LONGEST_TEXT then
                return value:sub(1, at - 1), true
            end
        end
    end
    return value, false
end

local function object(part)
    local text = signatures.decoded(part)
    local found, is_twice = nil, nil
    if text then
        found, is_twice = strict_json.object(text)
    end
    return found, is_twice and "the token says something twice" or UNREADABLE
end

local function time_of(claims, name)
    local found = claims[name]
    if found == nil or found == null then
        return nil
    end
    if type(found) ~= "number" or not (math.abs(found) < 1e12) then
        return nil, "the token's " .. name .. " is no time"
    end
    return found
end

-- When the token ends; nil and why it does not hold now.
local function checked(claims, issuer, now)
    if not token_claims.is_for(issuer, claims.aud) then
        return nil, "the token is for another audience"
    end
    local expires, why = time_of(claims, "exp")
    if not expires then
        return nil, why or "the token has no time at which it ends (exp)"
    elseif now >= expires + issuer.leeway then
        return nil, "the token has expired"
    end
    for _, name in ipairs {"nbf", "iat"} do
        local begins
        begins, why = time_of(claims, name)
        if why then
            return nil, why
        elseif begins and now < begins - issuer.leeway then
            return nil, "the token is not valid yet"
        end
    end
    if claims.cnf ~= nil then  -- RFC 9449 and RFC 8705: by itself it proves nothing
        return nil, "the token is bound to a key, of which nothing is proved here"
    end
    return expires
end

-- Whom claims that hold speak for; nil and why where they name nobody.
local function user_of(claims, issuer)
    local paths = issuer.claims
    local subject = claim(claims, paths.subject)
    local kept, is_long = short(subject)
    if kept == "" or is_long then
        return nil, "the token names no subject"
    end
    subject = issuer.prefix .. kept
    if subject:sub(1, #OF_KEYS) == OF_KEYS then
        return nil, "the token names a subject as only API keys have one"
    end
    return {
        subject = subject, key = "", tenant = (short(claim(claims, paths.tenant))),
        roles = set_of(claim(claims, paths.roles)), scopes = set_of(claim(claims, paths.scopes)),
    }
end

-- Whether a token is signed by a known key: true, false for a key that is not known, nil for one that did not sign.
local function is_signed(signed, keys)
    local found = signatures.candidates(keys, signed.kid, signed.algorithm)
    for _, each in ipairs(found) do
        if signatures.is_signed(signed.text, signed.signature, each, signed.algorithm) then
            return true
        end
    end
    if #found > 0 and signed.kid ~= "" then
        return nil
    end
    return false
end

-- Nil for a signature that holds; else why not, and whether that is because the issuer could not be asked.
local function unproved(signed, issuer)
    local wrong = "the signature of the token does not hold"
    if issuer.shared then
        return not signatures.is_shared(signed.text, signed.signature, issuer.shared, signed.algorithm) and wrong or nil
    end
    if issuer_keys.are_old(issuer) then
        issuer_keys.read_again(issuer)
    end
    local holds = is_signed(signed, (issuer_keys.known(issuer)))
    if holds == false then
        issuer_keys.read_again(issuer)
        local keys, version = issuer_keys.known(issuer)
        holds = is_signed(signed, keys)
        if version == 0 then
            return "the keys of the issuer of this token have not been read yet", true
        elseif holds == false then
            return "the token is signed by a key that its issuer does not name"
        end
    end
    return not holds and wrong or nil
end

local function verify(token, now)
    local first, second, third = token:match("^([^.]*)%.([^.]*)%.([^.]*)$")
    if not first or token:find("[\128-\255]") then
        return nil, UNREADABLE
    end
    local header, why = object(first)
    if not header then
        return nil, why
    end
    local claims
    claims, why = object(second)
    if not claims then
        return nil, why
    end
    why = token_claims.header_problem(header)
    if why then
        return nil, why
    end
    local issuer = by_url[text_of(claims, "iss")]
    if not issuer then
        return nil, "the token is of no issuer that is known here"
    end
    local algorithm = text_of(header, "alg")
    if not issuer.algorithms[algorithm] then
        return nil, "the token is signed by an algorithm that is not allowed here"
    end
    local expires, user
    expires, why = checked(claims, issuer, now)
    if not expires then
        return nil, why
    end
    user, why = user_of(claims, issuer)
    if not user then
        return nil, why
    end
    local signature = signatures.decoded(third)
    if not signature then
        return nil, UNREADABLE
    end
    local is_away
    why, is_away = unproved(
        {text = first .. "." .. second, signature = signature, algorithm = algorithm, kid = text_of(header, "kid")}, issuer)
    if why then
        return nil, why, is_away
    end
    return {user = user, ends = expires + issuer.leeway, issuer = issuer}
end

-- Whose a token is; nil, why it proves nothing, and whether that is because its issuer could not be asked. One that was
-- verified is known again by its digest until it ends, or until its issuer has other keys.
function _M.find(token)
    if #token > LONGEST then
        return nil, "the token has more than " .. LONGEST .. " characters"
    end
    local now, digest = ngx.now(), signatures.sha256(token)
    local known = verified:get(digest)
    if known then
        local issuer = known.issuer
        if not issuer.shared and issuer_keys.are_old(issuer) then
            issuer_keys.read_again(issuer)
        end
        local _, version = issuer_keys.known(issuer)
        if now < known.ends and version == known.version then
            return known.user
        end
        verified:delete(digest)
    end
    local found, why, is_away = verify(token, now)
    if not found then
        return nil, why, is_away
    end
    local _, version = issuer_keys.known(found.issuer)
    found.version = version
    verified:set(digest, found)
    return found.user
end

return _M
