-- What a dry run would have refused is told in the log, a line a second at most.

local last, untold = -1, 0

return function(why)
    local now = ngx.now()
    if now - last < 1 then
        untold = untold + 1
        return
    end
    local beside = untold > 0 and (" (and %d others since the last line)"):format(untold) or ""
    last, untold = now, 0
    ngx.log(ngx.NOTICE, "a dry run would have refused this: ", why, beside)
end
