package access

import (
	"encoding/json"
	"fmt"
	"strings"
)

// identity reads who a verified token speaks for and what that may do.
func (v *verifier) identity(issuer string, claims map[string]any) (*Identity, error) {
	name, _ := claims[v.config.IdentityClaim].(string)
	if !validName(name) {
		return nil, errToken{CodeInvalidToken, fmt.Sprintf("The token does not say who it is for (claim %s).", v.config.IdentityClaim)}
	}
	i := &Identity{Name: name, Source: "jwt", Tenant: tenant("jwt", issuer, name), Scopes: scopesOf(claims)}
	if claim := v.config.ClaimPrefix + "models"; claims[claim] != nil {
		models, ok := texts(claims[claim])
		if !ok || len(models) > maxModels {
			return nil, errToken{CodeInvalidToken, fmt.Sprintf("The token's claim %s is not a list of names.", claim)}
		}
		i.Models = append([]string{}, models...)
	}
	if claim := v.config.ClaimPrefix + "limits"; claims[claim] != nil {
		own, err := limitsOf(claims[claim])
		if err != nil {
			return nil, errToken{CodeInvalidToken, fmt.Sprintf("The token's claim %s is wrong: %s.", claim, err)}
		}
		i.Limits, err = own.rates()
		if err != nil {
			return nil, errToken{CodeInvalidToken, fmt.Sprintf("The token's claim %s is wrong: %s.", claim, err)}
		}
	}
	return i, nil
}

// scopesOf reads scopes from the claims that issuers put them in: scope (RFC 8693), scp and permissions. Others' scopes
// stand there too, so what is unknown is passed over. A token without any of the claims has all scopes.
func scopesOf(claims map[string]any) []Scope {
	var scopes []Scope
	for _, claim := range []string{"scope", "scp", "permissions"} {
		value, found := claims[claim]
		if !found {
			continue
		}
		if scopes == nil {
			scopes = []Scope{}
		}
		names, _ := texts(value)
		for _, name := range names {
			if s, err := scopeOf(name); err == nil {
				scopes = append(scopes, s)
			}
		}
	}
	return scopes
}

// texts reads a list of strings, or one string with spaces between.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return strings.Fields(v), true
	case []any:
		var out []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

func limitsOf(claim any) (*limits, error) {
	text, err := json.Marshal(claim)
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var l limits
	if err := decoder.Decode(&l); err != nil {
		return nil, fmt.Errorf("it must be an object with %s", "requestsPerSecond, burst, tokensPerMinute, concurrent")
	}
	return &l, nil
}
