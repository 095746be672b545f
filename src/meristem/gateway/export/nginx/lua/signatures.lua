-- Keys and signatures (RFC 7515 to 7518), by the OpenSSL that is in nginx itself: the one place that knows it.

local ffi = require "ffi"

local C = ffi.C
local char, rep, sub, concat = string.char, string.rep, string.sub, table.concat

ffi.cdef [[
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;

const EVP_MD *EVP_sha256(void);
const EVP_MD *EVP_sha384(void);
const EVP_MD *EVP_sha512(void);
int EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size, const EVP_MD *type, void *impl);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data, size_t n,
                    unsigned char *out, unsigned int *size);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);

EVP_PKEY *d2i_PUBKEY(EVP_PKEY **a, const unsigned char **pp, long length);
void EVP_PKEY_free(EVP_PKEY *key);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *ctx);
int EVP_DigestVerifyInit(EVP_MD_CTX *ctx, EVP_PKEY_CTX **pctx, const EVP_MD *type, void *e, EVP_PKEY *pkey);
int EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *sig, size_t siglen, const unsigned char *tbs, size_t tbslen);
int EVP_PKEY_CTX_set_rsa_padding(EVP_PKEY_CTX *ctx, int pad_mode);
int EVP_PKEY_CTX_set_rsa_pss_saltlen(EVP_PKEY_CTX *ctx, int saltlen);
void ERR_clear_error(void);
]]

local RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, AS_LONG_AS_THE_DIGEST = 1, 6, -1
local LEAST_RSA = 2048  -- bits (RFC 7518, section 3.3)
local MOST_KEYS = 100
local DIGESTS = {["256"] = C.EVP_sha256(), ["384"] = C.EVP_sha384(), ["512"] = C.EVP_sha512()}
local FAMILIES = {RS = "RSA", PS = "RSA", ES = "EC", Ed = "OKP"}
-- By the curve: the object identifier in DER, the bytes of a coordinate, and the algorithm that it is for.
local CURVES = {
    ["P-256"] = {"\6\8\42\134\72\206\61\3\1\7", 32, "ES256"},
    ["P-384"] = {"\6\5\43\129\4\0\34", 48, "ES384"},
    ["P-521"] = {"\6\5\43\129\4\0\35", 66, "ES512"},
    Ed25519 = {"\6\3\43\101\112", 32},
    Ed448 = {"\6\3\43\101\113", 57},
}
-- Where the points are of which eight times one, or four times, is nothing, the sign aside: by such a key anybody's
-- signature holds (RFC 8032, section 5). Those of the second line are numbers of the first, written otherwise.
local FEW = {
    [rep("\0", 32)] = true, ["\1" .. rep("\0", 31)] = true, ["\236" .. rep("\255", 30) .. "\127"] = true,
    ["\237" .. rep("\255", 30) .. "\127"] = true, ["\238" .. rep("\255", 30) .. "\127"] = true,
    ["\38\232\149\143\194\178\39\176\69\195\244\137\242\239\152\240"
        .. "\213\223\172\5\211\198\51\57\177\56\2\136\109\83\252\5"] = true,
    ["\199\23\106\112\61\77\216\79\186\60\11\118\13\16\103\15"
        .. "\42\32\83\250\44\57\204\198\78\199\253\119\146\172\3\122"] = true,
    [rep("\0", 57)] = true, ["\1" .. rep("\0", 56)] = true,
    ["\254" .. rep("\255", 27) .. "\254" .. rep("\255", 27) .. "\0"] = true,
    [rep("\255", 28) .. "\254" .. rep("\255", 27) .. "\0"] = true, [rep("\0", 28) .. rep("\255", 28) .. "\0"] = true,
}
local OID_RSA = "\6\9\42\134\72\134\247\13\1\1\1\5\0"  -- with its NULL
local OID_EC = "\6\7\42\134\72\206\61\2\1"

local digest, size = ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")
local _M = {}

function _M.sha256(text)
    assert(C.EVP_Digest(text, #text, digest, nil, DIGESTS["256"], nil) == 1)
    return ffi.string(digest, 32)
end

-- Whether two texts are the same, in a time that does not tell where they differ.
function _M.equal(one, other)
    return #one == #other and C.CRYPTO_memcmp(one, other, #one) == 0
end

-- What base64url (RFC 4648, section 5, without padding) stands for; nil for what is none.
function _M.decoded(text)
    if type(text) ~= "string" or text:find("[^%w_-]") then
        return nil
    end
    text = text:gsub("[-_]", {["-"] = "+", ["_"] = "/"})
    local found = ngx.decode_base64(text .. rep("=", -#text % 4))
    return found and ngx.encode_base64(found, true) == text and found or nil  -- one spelling of each
end

local function der(tag, content)
    local length = #content
    if length < 128 then
        return char(tag, length) .. content
    end
    local bytes = ""
    while length > 0 do
        bytes = char(length % 256) .. bytes
        length = math.floor(length / 256)
    end
    return char(tag, 128 + #bytes) .. bytes .. content
end

-- A number without a sign as DER has it.
local function integer(bytes)
    bytes = bytes:gsub("^%z+", "")
    if bytes == "" or bytes:byte() >= 128 then
        bytes = "\0" .. bytes
    end
    return der(2, bytes)
end

-- The key as a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7); nil for one that is unsound.
local function public_info(jwk)
    local algorithm, content
    if jwk.kty == "RSA" then
        local n, e = _M.decoded(jwk.n), _M.decoded(jwk.e)
        if not n or not e then
            return nil
        end
        n = n:gsub("^%z+", "")
        local bits = #n * 8
        if n ~= "" then
            local top = n:byte()
            while top < 128 do
                top, bits = top * 2, bits - 1
            end
        end
        e = e:gsub("^%z+", "")
        if bits < LEAST_RSA or e == "" or e == "\1" or e:byte(-1) % 2 == 0 then  -- by 1 what is signed would be the signature
            return nil
        end
        algorithm, content = OID_RSA, der(0x30, integer(n) .. integer(e))
    else
        local curve, x = CURVES[jwk.crv], _M.decoded(jwk.x)
        if not curve or not x or #x ~= curve[2] then
            return nil
        end
        if jwk.kty == "EC" then
            local y = _M.decoded(jwk.y)
            if not curve[3] or not y or #y ~= curve[2] then
                return nil
            end
            algorithm, content = OID_EC .. curve[1], "\4" .. x .. y
        else
            if curve[3] or FEW[sub(x, 1, -2) .. char(x:byte(-1) % 128)] then
                return nil
            end
            algorithm, content = curve[1], x
        end
    end
    return der(0x30, der(0x30, algorithm) .. der(3, "\0" .. content))
end

local function text_of(value)
    return type(value) == "string" and value or ""
end

-- A key of a set, if a signature can be checked by it.
local function public_key(jwk)
    local kind = type(jwk) == "table" and jwk.kty
    if kind ~= "RSA" and kind ~= "EC" and kind ~= "OKP" or (jwk.use ~= nil and jwk.use ~= "sig") then
        return nil
    end
    if type(jwk.key_ops) == "table" and not (" " .. concat(jwk.key_ops, " ") .. " "):find(" verify ", 1, true) then
        return nil
    end
    local info = public_info(jwk)
    if not info then
        return nil
    end
    local at = ffi.new("const unsigned char *[1]", ffi.cast("const unsigned char *", info))
    local key = C.d2i_PUBKEY(nil, at, #info)  -- a point that is not on its curve is refused here
    if key == nil then
        C.ERR_clear_error()
        return nil
    end
    return {
        kid = text_of(jwk.kid), kind = kind, algorithm = text_of(jwk.alg), curve = CURVES[jwk.crv],
        key = ffi.gc(key, C.EVP_PKEY_free),
    }
end

-- The keys of a set that signatures are checked by; nil and why for what is no set of keys.
function _M.public_keys(set)
    if type(set) ~= "table" or type(set.keys) ~= "table" then
        return nil, "it has no list of keys"
    end
    local found = {}
    for at = 1, math.min(#set.keys, MOST_KEYS) do
        found[#found + 1] = public_key(set.keys[at])
    end
    if #found == 0 then
        return nil, "it has no key by which a signature can be checked"
    end
    return found
end

-- Which of the keys a token may be signed by: that of its name, or any where it names none.
function _M.candidates(keys, kid, algorithm)
    local found, kind = {}, FAMILIES[sub(algorithm, 1, 2)]
    for _, each in ipairs(keys) do
        if each.kind == kind and (each.algorithm == "" or each.algorithm == algorithm)
            and (kid == "" or kid == each.kid) then
            found[#found + 1] = each
        end
    end
    return found
end

-- Of two numbers side by side, as tokens have a signature of ECDSA, what OpenSSL reads; nil for another length.
local function ecdsa(signature, length)
    if #signature ~= 2 * length then
        return nil
    end
    return der(0x30, integer(sub(signature, 1, length)) .. integer(sub(signature, length + 1)))
end

-- Whether a text is signed by a public key with this very algorithm.
function _M.is_signed(text, signature, each, algorithm)
    local family, md = sub(algorithm, 1, 2), DIGESTS[sub(algorithm, 3)]
    if family == "Ed" then
        if algorithm == "Ed25519" and each.curve ~= CURVES.Ed25519 then
            return false
        end
        md = nil  -- it has a digest of its own
    elseif family == "ES" then
        if each.curve[3] ~= algorithm then
            return false
        end
        signature = ecdsa(signature, each.curve[2])
    end
    if not signature or (family ~= "Ed" and md == nil) then
        return false
    end
    local ctx, pctx = C.EVP_MD_CTX_new(), ffi.new("EVP_PKEY_CTX *[1]")
    local holds = C.EVP_DigestVerifyInit(ctx, pctx, md, nil, each.key) == 1
    if holds and family == "PS" then
        holds = C.EVP_PKEY_CTX_set_rsa_padding(pctx[0], RSA_PKCS1_PSS_PADDING) > 0
            and C.EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx[0], AS_LONG_AS_THE_DIGEST) > 0
    elseif holds and family == "RS" then
        holds = C.EVP_PKEY_CTX_set_rsa_padding(pctx[0], RSA_PKCS1_PADDING) > 0
    end
    holds = holds and C.EVP_DigestVerify(ctx, signature, #signature, text, #text) == 1
    C.EVP_MD_CTX_free(ctx)
    C.ERR_clear_error()  -- else the next handshake of TLS would find it
    return holds
end

-- Whether a text is signed by a secret that is shared.
function _M.is_shared(text, signature, secret, algorithm)
    local md = DIGESTS[sub(algorithm, 3)]
    if sub(algorithm, 1, 2) ~= "HS" or not md then
        return false
    end
    assert(C.HMAC(md, secret, #secret, text, #text, digest, size) ~= nil)
    return _M.equal(ffi.string(digest, size[0]), signature)
end

return _M
