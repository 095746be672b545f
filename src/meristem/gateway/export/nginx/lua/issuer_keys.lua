-- The public keys of issuers: read when a token asks for them, again now and then, and when one names a key that is not
-- known. What was read stays while an issuer is away, and all workers have the same.

local cjson = require "cjson.safe"
local signatures = require "meristem.signatures"

local REFRESHED = 600  -- seconds after which the keys are read again: one that was withdrawn counts no longer
local APART = 5  -- seconds between two readings, whatever is asked: tokens with unknown keys cost the issuer nothing
local LONGEST_REST = 30  -- seconds until one that is away is asked again for what is known already
local PATIENCE = 12  -- seconds for all of a reading
local LONGEST = 512 * 1024  -- bytes

local shared = ngx.shared.meristem_issuers
local parsed = {}  -- by issuer what this worker has made of the text, and of which version it is
local _M = {}

local function fetch(issuer, path)
    local answer = ngx.location.capture("/.meristem/issuers/" .. issuer.name .. path)
    if answer.status ~= 200 or answer.truncated then
        return nil, "it answers " .. answer.status
    elseif #answer.body > LONGEST then
        return nil, "it answers more than " .. LONGEST .. " bytes"
    end
    return answer.body
end

-- Where the issuer says that its keys are (OpenID Connect Discovery 1.0), if that is where it may be asked.
local function discovered(issuer, text)
    local said = cjson.decode(text)
    if type(said) ~= "table" or said.issuer ~= issuer.issuer or type(said.jwks_uri) ~= "string" then
        return nil, "what it says of itself cannot be read, or is of another"
    end
    local start = issuer.origin .. "/"
    if said.jwks_uri:sub(1, #start) ~= start then
        return nil, "its keys are elsewhere, at " .. said.jwks_uri .. ": name that in the placement as jwks"
    end
    return said.jwks_uri:sub(#start)
end

local function document(issuer)
    local text, why = fetch(issuer, issuer.path)
    if text and issuer.discovers then
        local path
        path, why = discovered(issuer, text)
        if not path then
            return nil, why
        end
        text, why = fetch(issuer, path)
    end
    if not text then
        return nil, why
    end
    local keys
    keys, why = signatures.public_keys(cjson.decode(text))
    return keys and text, why
end

local function read(issuer)
    local name = issuer.name
    local text, why = document(issuer)
    if text then
        if text ~= shared:get("keys " .. name) then
            assert(shared:set("keys " .. name, text))
            assert(shared:incr("version " .. name, 1, 0))
        end
        shared:set("fresh " .. name, true, REFRESHED)
    else
        shared:set("fresh " .. name, true, LONGEST_REST)
        ngx.log(ngx.WARN, "the keys of the issuer ", name, " cannot be read: ", why)
    end
end

-- The keys as they are known, and their version, 0 before they were ever read.
function _M.known(issuer)
    local version = shared:get("version " .. issuer.name) or 0
    local mine = parsed[issuer.name]
    if not mine or mine.version ~= version then
        local keys = version > 0 and signatures.public_keys(cjson.decode(shared:get("keys " .. issuer.name) or ""))
        mine = {version = version, keys = keys or {}}
        parsed[issuer.name] = mine
    end
    return mine.keys, version
end

-- Read them, unless that was done just now; one reading is awaited by all who ask.
function _M.read_again(issuer)
    local name = issuer.name
    if shared:add("asked " .. name, true, APART) then
        shared:set("reading " .. name, true, PATIENCE)
        read(issuer)
        shared:delete("reading " .. name)
        return
    end
    local until_then = ngx.now() + PATIENCE
    while shared:get("reading " .. name) and ngx.now() < until_then do
        ngx.sleep(0.02)
    end
end

-- Whether they were read so long ago that they have to be read again.
function _M.are_old(issuer)
    return not shared:get("fresh " .. issuer.name)
end

return _M
