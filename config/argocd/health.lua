-- Health of a GptOssModel for Argo CD; docs/gitops.md says where it goes. Degraded is what a person must mend, Progressing
-- what passes by itself. A status that speaks of an older generation says nothing about what Git wants now.
local function condition(kind)
  for _, c in ipairs(obj.status.conditions or {}) do
    if c.type == kind then
      return c
    end
  end
end

local function sentence(c)
  if c.message == nil or c.message == "" then
    return c.reason or ""
  end
  return c.reason .. ": " .. c.message
end

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Being deleted" }
end
if obj.status == nil or obj.status.observedGeneration == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to see this generation" }
end

local stalled, ready = condition("Stalled"), condition("Ready")
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = sentence(stalled) }
end
if ready ~= nil and ready.status == "True" then
  return { status = "Healthy", message = sentence(ready) }
end
return { status = "Progressing", message = ready ~= nil and sentence(ready) or "Waiting for Ready" }
