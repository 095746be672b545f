-- JSON (RFC 8259) read so that nothing in it has two meanings: no name twice, no numbers that are none, no halves of
-- characters. What stands in a token is read by this and by nothing more lenient.

local is_utf8 = require("meristem.utf8").is_utf8

local byte, char, find, floor, sub = string.byte, string.char, string.find, math.floor, string.sub
local DEEPEST = 500
local ESCAPES = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}
local WORDS = {["true"] = true, ["false"] = false}

local null = {}  -- what `null` is read as
local array = {}  -- the metatable of lists

local value_at

local function fail()
    error("no JSON", 0)
end

local function past_blanks(text, at)
    return find(text, "[^ \t\r\n]", at) or fail()
end

local function utf8(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + floor(code / 64), 0x80 + code % 64)
    elseif code < 0x10000 then
        return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
    end
    return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local function unit_at(text, at)
    local digits = sub(text, at, at + 3)
    return find(digits, "^%x%x%x%x$") and tonumber(digits, 16) or fail()
end

-- A text whose quotation mark is at `at`, and where it goes on.
local function text_at(text, at)
    local parts = {}
    at = at + 1
    while true do
        local stop = find(text, '["\\%c]', at) or fail()
        parts[#parts + 1] = sub(text, at, stop - 1)
        local mark = sub(text, stop, stop)
        if mark == '"' then
            return table.concat(parts), stop + 1
        end
        if mark == "\127" then
            parts[#parts + 1], at = mark, stop + 1
        elseif mark ~= "\\" then
            fail()
        else
            local kind = sub(text, stop + 1, stop + 1)
            at = stop + 2
            if kind == "u" then
                local code = unit_at(text, at)
                at = at + 4
                if code >= 0xD800 and code <= 0xDBFF then
                    local low = sub(text, at, at + 1) == "\\u" and unit_at(text, at + 2) or 0
                    if low < 0xDC00 or low > 0xDFFF then
                        fail()
                    end
                    code, at = 0x10000 + (code - 0xD800) * 1024 + low - 0xDC00, at + 6
                elseif code >= 0xDC00 and code <= 0xDFFF then
                    fail()
                end
                parts[#parts + 1] = utf8(code)
            else
                parts[#parts + 1] = ESCAPES[kind] or fail()
            end
        end
    end
end

local function number_at(text, at)
    local _, stop = find(text, "^-?%d+", at)
    if not stop or find(text, "^-?0%d", at) then
        fail()
    end
    local _, fraction = find(text, "^%.%d+", stop + 1)
    stop = fraction or stop
    local _, exponent = find(text, "^[eE][+-]?%d+", stop + 1)
    stop = exponent or stop
    return tonumber(sub(text, at, stop)), stop + 1
end

local function object_at(text, at, depth)
    local found, seen = {}, {}
    at = past_blanks(text, at + 1)
    if byte(text, at) == 125 then
        return found, at + 1
    end
    while true do
        if byte(text, at) ~= 34 then
            fail()
        end
        local name
        name, at = text_at(text, at)
        if seen[name] then
            error("twice", 0)
        end
        seen[name] = true
        at = past_blanks(text, at)
        if byte(text, at) ~= 58 then
            fail()
        end
        found[name], at = value_at(text, past_blanks(text, at + 1), depth + 1)
        at = past_blanks(text, at)
        local mark = byte(text, at)
        if mark == 125 then
            return found, at + 1
        elseif mark ~= 44 then
            fail()
        end
        at = past_blanks(text, at + 1)
    end
end

local function array_at(text, at, depth)
    local found = setmetatable({}, array)
    at = past_blanks(text, at + 1)
    if byte(text, at) == 93 then
        return found, at + 1
    end
    while true do
        found[#found + 1], at = value_at(text, at, depth + 1)
        at = past_blanks(text, at)
        local mark = byte(text, at)
        if mark == 93 then
            return found, at + 1
        elseif mark ~= 44 then
            fail()
        end
        at = past_blanks(text, at + 1)
    end
end

function value_at(text, at, depth)
    if depth > DEEPEST then
        fail()
    end
    local mark = byte(text, at)
    if mark == 123 then
        return object_at(text, at, depth)
    elseif mark == 91 then
        return array_at(text, at, depth)
    elseif mark == 34 then
        return text_at(text, at)
    end
    local word = text:match("^%l+", at)
    if word == "null" then
        return null, at + 4
    elseif word and WORDS[word] ~= nil then
        return WORDS[word], at + #word
    end
    return number_at(text, at)
end

local _M = {null = null}

function _M.is_array(value)
    return getmetatable(value) == array
end

-- The object that a text is; nil, and whether that is because it says something twice.
function _M.object(text)
    if not is_utf8(text) then
        return nil
    end
    local is_read, found, at = pcall(function()
        return value_at(text, past_blanks(text, 1), 0)
    end)
    if not is_read then
        return nil, found == "twice"
    end
    if find(text, "[^ \t\r\n]", at) or type(found) ~= "table" or found == null or getmetatable(found) == array then
        return nil
    end
    return found
end

return _M
