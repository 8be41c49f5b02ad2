// Package secrets encrypts values, and keeps clear values out of documents and text. It is pure: it reads no file, no clock and no
// database, apart from the random source of the system.
//
// # Encryption
//
// A [Keyring] has one or more keys. The first encrypts, and every key decrypts. So a key is replaced in steps in which every
// process can read every value: see docs/secrets.md.
//
// An encrypted value is the text "v1.<key id>.<base64>". The base64 part holds 16 random bytes and the output of AES-256-GCM, whose key is
// derived by HKDF-SHA256 from the key of the ring and the random bytes. So no two values share an AES key, and there is no bound on
// the number of values of one key. The identity of the row is the additional data: an encrypted value that was copied to another row
// cannot be decrypted.
//
// # Documents
//
// [Cover] takes the secret parts out of a JSON document and puts a cover in their places. [Uncover] puts them back. Both keep every
// other byte of the document.
//
// # Output
//
// A [Masker] replaces secret values in the output of a process by [attune.SecretMask], also in base64, hexadecimal, percent-encoding
// and JSON escapes, and also when a value arrives in several writes.
package secrets
