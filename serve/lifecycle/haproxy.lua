-- Refuses requests in the replicas' place, each once all of it has arrived. HAProxy 2.8 hangs up on a client that is
-- still sending when it answers by itself, and that client may see a broken connection instead of the answer.
local PART_BYTES = 65536

-- Register a service that waits for an upload for some seconds at most, then sends an answer. In its headers and its
-- document @id@ stands for the request's id.
local function refuse(name, seconds, status, headers, document)
    core.register_service(name, "http", function(applet)
        local function with_id(text)
            return (string.gsub(text, "@id@", function() return applet:get_var("txn.hm_id") end))
        end
        local latest = core.now().sec + seconds
        while applet:receive(PART_BYTES) ~= "" and core.now().sec < latest do end
        local body = with_id(document)
        applet:set_status(status)
        for field, value in pairs(headers) do
            applet:add_header(field, with_id(value))
        end
        applet:add_header("content-length", #body)
        applet:start_response()
        applet:send(body)
    end)
end

