package openapi

import (
	_ "embed"
	"encoding/json"
)

//go:embed openapi.json
var document []byte

// Document is the description, with the server's version in it.
func Document(version string) []byte {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(document, &all); err != nil { // it was written by the generator
		panic(err)
	}
	info := map[string]any{}
	if err := json.Unmarshal(all["info"], &info); err != nil {
		panic(err)
	}
	info["version"] = version
	all["info"] = encode(info)
	return encode(all)
}

func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// Operations lists the methods that the description has for each path.
func Operations() map[string][]string {
	var all struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(document, &all); err != nil {
		panic(err)
	}
	out := map[string][]string{}
	for path, methods := range all.Paths {
		for method := range methods {
			out[path] = append(out[path], method)
		}
	}
	return out
}
