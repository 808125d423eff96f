package schema

import "github.com/gptoss/gptoss-operator/engine/grammar"

// maxCounted bounds what is counted one by one: items and properties.
const maxCounted = 8192

// list is what is asked of an array.
type list struct {
	prefix    [][]*value // by place
	items     []*value   // behind them
	low, high int        // high is -1 for no bound
}

// list combines the keywords for arrays.
func (c *Compiler) list(j *conjunction) (list, error) {
	l := list{high: -1}
	open := false // items behind the prefix are spoken of
	for _, v := range j.own {
		l.low = max(l.low, count(v, "minItems", 0))
		if high := count(v, "maxItems", -1); high >= 0 && (l.high < 0 || high < l.high) {
			l.high = high
		}
		prefix, items := shape(v)
		for len(l.prefix) < len(prefix) {
			l.prefix = append(l.prefix, nil)
		}
		if items != nil {
			l.items = append(l.items, items)
			open = true
		}
	}
	if l.low > maxCounted || l.high > maxCounted {
		v, keyword := j.first([]string{"maxItems", "minItems"})
		return l, fail(v, keyword, "more than %d are not supported", maxCounted)
	}
	for i := range l.prefix {
		for _, v := range j.own {
			prefix, items := shape(v)
			if i < len(prefix) {
				items = prefix[i]
			}
			if items != nil {
				l.prefix[i] = append(l.prefix[i], items)
			}
		}
	}
	if n := len(l.prefix); n > 0 && !open && l.low <= n && (l.high < 0 || l.high > n) {
		l.high = n
	}
	for _, v := range j.own {
		if v.fields["uniqueItems"].is("true") && (l.high < 0 || l.high > 1) {
			return l, fail(v, "uniqueItems", "it is not supported")
		}
	}
	return l, nil
}

// shape returns the schemas of the first items and of the others. Before draft 2020-12 they had other names.
func shape(v *value) (prefix []*value, items *value) {
	items = v.fields["items"]
	if p := v.fields["prefixItems"]; p != nil {
		prefix = p.items
	}
	if items != nil && items.kind == array {
		prefix, items = items.items, v.fields["additionalItems"]
	}
	if items == nil && v.fields["unevaluatedItems"].is("false") {
		items = v.fields["unevaluatedItems"]
	}
	return prefix, items
}

func (c *Compiler) array(j *conjunction) (grammar.Node, error) {
	l, err := c.list(j)
	if err != nil {
		return 0, err
	}
	tail, err := c.rule(&conjunction{}, l.items...)
	if err != nil {
		return 0, err
	}
	item := func(i int, next grammar.Node) (grammar.Node, error) {
		r := tail
		if i < len(l.prefix) {
			var err error
			if r, err = c.rule(&conjunction{}, l.prefix[i]...); err != nil {
				return 0, err
			}
		}
		return c.b.Call(r, next), nil
	}
	end := c.b.Literal("]", grammar.Return)
	spacedEnd := c.b.Call(c.space, end)
	n := l.high
	after := spacedEnd // after the last item that is counted
	if n < 0 {
		n = max(l.low, len(l.prefix), 1)
		after = c.b.Forward()
		more, err := item(n, after)
		if err != nil {
			return 0, err
		}
		c.b.Link(after, spacedEnd)
		c.b.Link(after, c.b.Literal(",", c.b.Call(c.space, more)))
	}
	for i := n - 1; i >= 0; i-- {
		read, err := item(i, after)
		if err != nil {
			return 0, err
		}
		if i > 0 {
			read = c.b.Literal(",", c.b.Call(c.space, read))
		}
		switch {
		case i < l.low:
			after = read
		case i > 0:
			after = c.b.Choice(read, spacedEnd)
		default:
			after = c.b.Choice(read, end)
		}
	}
	if n == 0 {
		after = end
		if l.low > 0 {
			after = c.b.Choice()
		}
	}
	if l.high >= 0 && l.low > l.high {
		after = c.b.Choice()
	}
	return c.b.Literal("[", c.b.Call(c.space, after)), nil
}
