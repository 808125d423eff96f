package schematest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Random makes a schema with nested objects, arrays, alternatives, formats, patterns, bounds and, in most, recursion.
func Random(r *rand.Rand) string {
	g := generator{Rand: r}
	return g.document()
}

// generator makes schemas at random, of all that is supported.
type generator struct {
	*rand.Rand
	definitions []string
}

func (g *generator) schema(depth int) string {
	if depth <= 0 {
		return g.leaf()
	}
	switch g.IntN(9) {
	case 0, 1, 2:
		return g.object(depth)
	case 3:
		return g.array(depth)
	case 4:
		return fmt.Sprintf(`{"anyOf":[%s,%s,{"type":"null"}]}`, g.schema(depth-1), g.schema(depth-1))
	case 5:
		return fmt.Sprintf(`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":%s},"required":["kind","x"]},{"type":"object","properties":{"kind":{"const":"b"},"y":%s},"required":["kind"]}]}`,
			g.schema(depth-1), g.schema(depth-1))
	case 6:
		return fmt.Sprintf(`{"allOf":[{"type":"object","properties":{"p":%s},"required":["p"]},{"type":"object","properties":{"p":{},"q":%s}}]}`, g.leaf(), g.schema(depth-1))
	case 7:
		if len(g.definitions) > 0 {
			return fmt.Sprintf(`{"$ref":"#/$defs/%s"}`, g.definitions[g.IntN(len(g.definitions))])
		}
	}
	return g.leaf()
}

func (g *generator) leaf() string {
	low := g.IntN(5)
	leaves := []string{
		`{"type":"boolean"}`, `{"type":"null"}`, `{"type":"integer"}`, `{"type":"number"}`, `{"const":"fix"}`,
		`{"enum":["red","green","grün","b\"l\\ue",1,null,2.5]}`, `{"type":["string","null"],"maxLength":20}`, `{"type":"string","nullable":false,"maxLength":7}`,
		fmt.Sprintf(`{"type":"string","minLength":%d,"maxLength":%d}`, low, low+g.IntN(40)),
		fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, g.IntN(100)-50, 50+g.IntN(1000)),
		fmt.Sprintf(`{"type":"number","exclusiveMinimum":%d.5,"maximum":%d.25}`, g.IntN(20)-10, 11+g.IntN(100)),
		fmt.Sprintf(`{"type":"integer","multipleOf":%d,"exclusiveMaximum":100000}`, 1+g.IntN(9)),
		`{"type":"number","multipleOf":0.01,"minimum":0,"maximum":1000}`,
		`{"type":"string","pattern":"^[A-Z]{2}-[0-9]{1,4}$"}`, `{"type":"string","pattern":"^(foo|ba[rz])+x?$","maxLength":30}`,
		`{"type":"string","pattern":"[0-9]","maxLength":12}`, `{"type":"string","pattern":"^\\p{Lu}[\\wé\"\\\\]{0,8}$"}`, `{"type":"string","pattern":"^[^a-z]{1,6}$"}`,
	}
	for _, f := range []string{"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"} {
		leaves = append(leaves, fmt.Sprintf(`{"type":"string","format":%q,"maxLength":80}`, f))
	}
	return leaves[g.IntN(len(leaves))]
}

func (g *generator) object(depth int) string {
	names := []string{"id", "name", "naïve", "a\\\"b", "value", "items", "x y"}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var properties, required []string
	for _, name := range names[:g.IntN(5)] {
		properties = append(properties, fmt.Sprintf(`"%s":%s`, name, g.schema(depth-1)))
		if g.IntN(3) > 0 {
			required = append(required, `"`+name+`"`)
		}
	}
	more := []string{"", `,"additionalProperties":false`, `,"additionalProperties":{"type":"integer"},"propertyNames":{"pattern":"^[a-z]{0,9}$"}`}[g.IntN(3)]
	if strings.Contains(more, "propertyNames") {
		required = nil
	}
	return fmt.Sprintf(`{"type":"object","title":"T","properties":{%s},"required":[%s]%s}`, strings.Join(properties, ","), strings.Join(required, ","), more)
}

func (g *generator) array(depth int) string {
	if g.IntN(3) == 0 {
		return fmt.Sprintf(`{"type":"array","prefixItems":[%s,%s],"items":false,"minItems":%d}`, g.schema(depth-1), g.leaf(), g.IntN(3))
	}
	low := g.IntN(3)
	return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, g.schema(depth-1), low, low+g.IntN(4))
}

// document makes a schema with definitions that may refer to each other and to themselves.
func (g *generator) document() string {
	g.definitions = []string{"one", "two"}[:g.IntN(3)]
	var defs []string
	for _, name := range g.definitions {
		defs = append(defs, fmt.Sprintf(`%q:{"type":"object","properties":{"v":%s,"next":{"anyOf":[{"type":"null"},%s]}},"required":["v"],"additionalProperties":false}`, name, g.leaf(), g.schema(1)))
	}
	root := g.object(3)
	return strings.TrimSuffix(root, "}") + `,"$defs":{` + strings.Join(defs, ",") + `}}`
}
