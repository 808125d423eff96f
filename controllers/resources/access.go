package resources

import (
	"crypto/rand"
	"encoding/base64"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gptoss/gptoss-operator/api/v1alpha1"
)

// keyBytes is the strength of a generated key: 256 bits, beyond any guessing.
const keyBytes = 32

// NewAPIKey returns a fresh random key in the form that OpenAI's clients know.
func NewAPIKey() []byte {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program instead
	return []byte("sk-" + base64.RawURLEncoding.EncodeToString(secret))
}

// Secret holds the generated API key.
func Secret(m *v1alpha1.GptOssModel, key []byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: objectMeta(m, m.Name+v1alpha1.APIKeySecretSuffix),
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{v1alpha1.DefaultAPIKeyEntry: key},
	}
}
