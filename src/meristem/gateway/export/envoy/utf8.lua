-- What UTF-8 is (RFC 3629).

-- How many bytes a character has that begins with this one, and the least and the most that the second may be.
local function of_character(first)
  if first < 0x80 then return 1 end
  if first < 0xC2 or first > 0xF4 then return nil end
  if first < 0xE0 then return 2, 0x80, 0xBF end
  if first < 0xF0 then return 3, first == 0xE0 and 0xA0 or 0x80, first == 0xED and 0x9F or 0xBF end
  return 4, first == 0xF0 and 0x90 or 0x80, first == 0xF4 and 0x8F or 0xBF
end

local function is_utf8(text)
  local at = 1
  while at <= #text do
    local length, least, most = of_character(text:byte(at))
    if length == nil then return false end
    for further = at + 1, at + length - 1 do
      local byte = text:byte(further)
      if byte == nil or byte < least or byte > most then return false end
      least, most = 0x80, 0xBF
    end
    at = at + length
  end
  return true
end

return {is_utf8 = is_utf8}
