package services

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// TestAccess runs all services in one folder, like `attune dev`, and tries to use them as another user of the machine.
//
//nolint:tparallel // the subtests share one set of services, and the last one stops it
func TestAccess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(serviceDir(t), "data")
	config := Config{
		Dir: dir, Postgres: &PostgresConfig{}, RabbitMQ: &RabbitMQConfig{Management: true}, Temporal: &TemporalConfig{UI: true},
	}
	set, err := Start(t.Context(), config)
	require.NoError(t, err)
	stopAtEnd(t, set.Stop)

	t.Run("PostgreSQL refuses a client without the password", func(t *testing.T) {
		for _, address := range []string{set.Postgres.URL(), set.Postgres.AdminURL()} {
			for _, login := range []func(string) *url.Userinfo{
				url.User,
				func(user string) *url.Userinfo { return url.UserPassword(user, user) },
			} {
				stranger, err := url.Parse(address)
				require.NoError(t, err)
				stranger.User = login(stranger.User.Username())
				_, err = pgx.Connect(t.Context(), stranger.String())
				answer, refused := errors.AsType[*pgconn.PgError](err)
				require.True(t, refused, "%v", err)
				require.Equal(t, "28P01", answer.Code, "invalid_password")
			}
		}
	})

	t.Run("the owner of the database is no superuser", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), set.Postgres.URL())
		require.NoError(t, err)
		defer conn.Close(context.Background())
		var user, owner string
		var super, createsRoles, createsDatabases bool
		require.NoError(t, conn.QueryRow(t.Context(), `
			SELECT current_user::text, pg_get_userbyid(d.datdba)::text, r.rolsuper, r.rolcreaterole, r.rolcreatedb
			FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`,
		).Scan(&user, &owner, &super, &createsRoles, &createsDatabases))
		require.Equal(t, user, owner)
		require.False(t, super || createsRoles || createsDatabases)
		_, err = conn.Exec(t.Context(), "CREATE TEMPORARY TABLE lines (line text)")
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "COPY lines FROM PROGRAM 'id'")
		answer, refused := errors.AsType[*pgconn.PgError](err)
		require.True(t, refused, "%v", err)
		require.Equal(t, "42501", answer.Code, "insufficient_privilege")
	})

	t.Run("RabbitMQ and its management refuse a client without the password", func(t *testing.T) {
		for _, login := range []*url.Userinfo{url.UserPassword("guest", "guest"), url.UserPassword(rabbitUser, rabbitUser)} {
			stranger, err := url.Parse(set.RabbitMQ.URL())
			require.NoError(t, err)
			stranger.User = login
			_, err = amqp.Dial(stranger.String())
			require.ErrorIs(t, err, amqp.ErrCredentials)
			page, err := url.Parse(set.RabbitMQ.ManagementURL() + "/api/overview")
			require.NoError(t, err)
			for _, user := range []*url.Userinfo{login, nil} {
				page.User = user
				require.Equal(t, http.StatusUnauthorized, status(t, page.String()))
			}
		}
		require.Equal(t, http.StatusOK, status(t, set.RabbitMQ.ManagementURL()+"/api/overview"))
		require.Equal(t, http.StatusNotFound, status(t, set.RabbitMQ.ManagementURL()+"/api/users/guest"))
	})

	t.Run("every port listens on loopback", func(t *testing.T) {
		listening := listeners(t, dir)
		require.GreaterOrEqual(t, len(listening), 10, "one port of PostgreSQL, four of RabbitMQ, five of Temporal: %v", listening)
		const loopback4, loopback6 = "0100007F", "00000000000000000000000001000000" // as the kernel writes 127.0.0.1 and ::1
		for _, address := range listening {
			host, _, _ := strings.Cut(address, ":")
			require.Contains(t, []string{loopback4, loopback6}, host, "all: %v", listening)
		}
	})

	t.Run("no other user can read a file", func(t *testing.T) { requirePrivate(t, dir) })

	t.Run("a second set in the folder is refused", func(t *testing.T) {
		_, err := Start(t.Context(), config)
		require.ErrorContains(t, err, "end that process, or use another folder")
	})

	t.Run("a restart keeps the passwords", func(t *testing.T) {
		require.NoError(t, set.Stop(t.Context()))
		again, err := Start(t.Context(), config)
		require.NoError(t, err)
		require.Equal(t, set.Postgres.passwords, again.Postgres.passwords)
		require.Equal(t, set.RabbitMQ.passwords, again.RabbitMQ.passwords)
		requirePrivate(t, dir)
		require.NoError(t, again.Stop(t.Context()))
	})
}

func status(t *testing.T, page string) int {
	t.Helper()
	answer, err := http.Get(page)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// requirePrivate checks the mode of every file below dir. If this test runs as root, another user also tries to read
// them.
func requirePrivate(t *testing.T, dir string) {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // servers may delete files meanwhile
		}
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		allowed := fs.FileMode(0o700)
		if entry.IsDir() && os.Geteuid() == 0 {
			allowed = 0o710 // the user of PostgreSQL may enter, and not list
		}
		require.Zero(t, info.Mode().Perm()&^allowed, "%s has mode %o", path, info.Mode().Perm())
		if !entry.IsDir() {
			files = append(files, path)
		}
		return nil
	}))
	require.Greater(t, len(files), 100, "the files of three services")
	if os.Geteuid() != 0 {
		return
	}
	for _, path := range []string{
		dir, filepath.Join(dir, "postgres", passwordsFile), filepath.Join(dir, "postgres", "data", "PG_VERSION"),
		filepath.Join(dir, "rabbitmq", passwordsFile), filepath.Join(dir, "temporal", "temporal.db"),
	} {
		require.NoError(t, exec.Command("ls", path).Run())
		stranger := exec.Command("ls", path)
		stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{}}}
		output, err := stranger.CombinedOutput()
		require.Error(t, err, path)
		require.Contains(t, string(output), "Permission denied")
	}
}

// listeners lists the addresses on which the processes that work in dir accept connections, in the notation of proc(5).
func listeners(t *testing.T, dir string) []string {
	t.Helper()
	own := map[string]bool{} // by inode
	for _, process := range processesOf(t, dir) {
		pid, _, _ := strings.Cut(process, " ")
		links, err := filepath.Glob("/proc/" + pid + "/fd/*")
		require.NoError(t, err)
		for _, link := range links {
			target, _ := os.Readlink(link) // the file may be closed meanwhile
			if inode, isSocket := strings.CutPrefix(target, "socket:["); isSocket {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			const listen = "0A"
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == listen && own[fields[9]] {
				found = append(found, fields[1])
			}
		}
	}
	return found
}

// TestOldData uses folders of a version of attune whose services had no passwords.
func TestOldData(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"postgres/data/PG_VERSION", "rabbitmq/data/" + rabbitNode + "/file"} {
		t.Run(strings.ReplaceAll(old, "/", " ")+" without passwords is refused", func(t *testing.T) {
			t.Parallel()
			dir := serviceDir(t)
			path := filepath.Join(dir, old)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte("15\n"), 0o644))

			_, err := Start(t.Context(), Config{
				Dir: dir, Postgres: &PostgresConfig{}, RabbitMQ: &RabbitMQConfig{}, Temporal: &TemporalConfig{},
			})
			tooOld, ok := errors.AsType[*OldDataError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, dir, tooOld.Dir, "the data of the services belong together")
			require.ErrorContains(t, err, "delete that folder")
			require.NoDirExists(t, filepath.Join(dir, "temporal"), "no service was started")

			service, _, _ := strings.Cut(old, "/")
			tooOld, ok = errors.AsType[*OldDataError](startAlone(t, service, filepath.Join(dir, service)))
			require.True(t, ok)
			require.Equal(t, filepath.Join(dir, service), tooOld.Dir)
		})
	}
}

func startAlone(t *testing.T, service, dir string) (err error) {
	t.Helper()
	if service == "postgres" {
		_, err = StartPostgres(t.Context(), PostgresConfig{Dir: dir})
	} else {
		_, err = StartRabbitMQ(t.Context(), RabbitMQConfig{Dir: dir})
	}
	return err
}

func TestPrivateDir(t *testing.T) {
	t.Parallel()
	mode := func(t *testing.T, dir string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(dir)
		require.NoError(t, err)
		return info.Mode()
	}

	t.Run("a new folder and one that others can list become private", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "deep", "data")
		for range 2 {
			require.NoError(t, privateDir(dir, nil))
			require.Equal(t, fs.ModeDir|0o700, mode(t, dir))
			require.NoError(t, os.Chmod(dir, 0o775))
		}
	})

	t.Run("the user of a server may enter and list nothing", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		guest := &account{name: "guest", uid: uint32(os.Geteuid()) + 1, gid: uint32(os.Getegid())}
		require.NoError(t, privateDir(dir, guest))
		require.Equal(t, fs.ModeDir|0o710, mode(t, dir))
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.True(t, guest.mayEnter(info))
		require.False(t, (&account{uid: guest.uid, gid: guest.gid + 1}).mayEnter(info))
	})

	t.Run("a folder that others need can be entered and not listed", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		for range 2 {
			require.NoError(t, PassableDir(dir))
			require.Equal(t, fs.ModeDir|0o711, mode(t, dir))
			require.NoError(t, os.Chmod(dir, 0o700))
		}
	})

	t.Run("a folder into which every user may write is refused", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777|fs.ModeSticky))
		require.ErrorContains(t, PrivateDir(dir), "every user may write into the folder")
		require.Equal(t, fs.ModeDir|fs.ModeSticky|0o777, mode(t, dir))
	})

	t.Run("a file is refused", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.ErrorContains(t, PrivateDir(path), "the path is a file")
	})

	t.Run("a folder of another user is refused", func(t *testing.T) {
		t.Parallel()
		dir := "/" // belongs to root
		if os.Geteuid() == 0 {
			dir = t.TempDir()
			require.NoError(t, os.Chown(dir, 65534, -1))
		}
		require.ErrorContains(t, PrivateDir(dir), "use a folder of your own", fmt.Sprint(mode(t, dir)))
	})
}

func TestLoadPasswords(t *testing.T) {
	t.Parallel()

	t.Run("passwords are created once and kept", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		made, err := loadPasswords(dir, false, "one", "two")
		require.NoError(t, err)
		require.NotEqual(t, made["one"], made["two"])
		require.Regexp(t, "^[A-Z0-9]{20,}$", made["one"], "letters and digits, which need no quoting, and too many to guess")
		kept, err := loadPasswords(dir, true, "one", "two")
		require.NoError(t, err)
		require.Equal(t, made, kept)
		info, err := os.Stat(filepath.Join(dir, passwordsFile))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	})

	t.Run("a damaged file is named", func(t *testing.T) {
		t.Parallel()
		for _, content := range []string{"", "{", `{"one": ""}`, `{"two": "x"}`} {
			dir := t.TempDir()
			path := filepath.Join(dir, passwordsFile)
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := loadPasswords(dir, true, "one")
			require.ErrorContains(t, err, path)
		}
	})
}
