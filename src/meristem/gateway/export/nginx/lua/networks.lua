-- Whether an address is in any of many networks, found by its bits: as quick for ten thousand of them as for one.

local ffi = require "ffi"

local C = ffi.C
local byte, char, sub = string.byte, string.char, string.sub
local AF_INET, AF_INET6 = 2, 10  -- of Linux
local NOTHING = ("\0"):rep(16)
local MAPPED = ("\0"):rep(10) .. "\255\255"  -- IPv4 within IPv6

ffi.cdef [[
int inet_pton(int family, const char *text, void *found);
]]

local room = ffi.new("unsigned char[16]")
local _M = {}
local mt = {__index = _M}

-- An address of IPv4 is the same within IPv6.
local function plain(address)
    if #address == 16 and sub(address, 1, 12) == MAPPED then
        return sub(address, 13)
    end
    return address
end

-- The bytes of an address that is written down; nil for what is none.
local function read(text)
    local family, size = AF_INET, 4
    if text:find(":", 1, true) then
        family, size = AF_INET6, 16
    end
    if C.inet_pton(family, text, room) == 1 then
        return ffi.string(room, size)
    end
end

-- The first bits of an address.
local function cut(address, bits)
    local whole, more = math.floor(bits / 8), bits % 8
    local kept = sub(address, 1, whole)
    if more > 0 then
        local last = byte(address, whole + 1)
        kept = kept .. char(last - last % 2 ^ (8 - more))
    end
    return kept
end

_M.plain, _M.read = plain, read

-- Of addresses and networks as they are written; nil and what is none of them.
function _M.of(entries)
    local sizes, known = {}, {}
    for _, entry in ipairs(entries) do
        local text, bits = entry:match("^([^/]+)/(%d+)$")
        local address = read(text or entry)
        bits = address and tonumber(bits or #address * 8)
        if not address or bits > #address * 8 or sub(cut(address, bits) .. NOTHING, 1, #address) ~= address then
            return nil, entry .. " is neither an address nor a network"
        end
        local size = #address .. "/" .. bits
        if not known[size] then
            known[size] = {}
            sizes[#sizes + 1] = {length = #address, bits = bits, known = known[size]}
        end
        known[size][cut(address, bits)] = true
    end
    return setmetatable({sizes = sizes}, mt)
end

-- Whether an address, as its bytes, is in any of them.
function _M:has(address)
    for _, size in ipairs(self.sizes) do
        if #address == size.length and size.known[cut(address, size.bits)] then
            return true
        end
    end
    return false
end

return _M
