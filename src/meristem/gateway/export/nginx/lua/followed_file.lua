-- A file that is read again when it has changed: it is looked at now and then, for no message tells of it.

local _M = {}
local mt = {__index = _M}

-- `read` makes of a text what is asked for, or returns nil and why that cannot be; it is looked at no sooner than
-- `between` seconds after the last time. Where it is not there, its text is `absent`.
function _M.new(path, between, read, absent)
    local self = setmetatable({path = path, between = between, read = read, absent = absent, looked = -1}, mt)
    self:look()
    return self
end

function _M:look()
    local file, why = io.open(self.path, "rb")
    local text = self.absent
    if file then
        text = file:read("*a")
        file:close()
    end
    if text == self.text and text then
        return
    end
    local found
    if text then
        found, why = self.read(text)
    end
    if found then
        self.text, self.found, self.failed = text, found, nil
    elseif why ~= self.failed then
        self.failed = why  -- said once
        ngx.log(ngx.ERR, self.path, ": ", why, "; what was read before goes on to hold")
    end
end

-- What was made of it as it stands now, or as it was last read; nil where it never could be.
function _M:get()
    local now = ngx.now()
    if now - self.looked >= self.between then
        self.looked = now
        self:look()
    end
    return self.found
end

return _M
