import org.flywaydb.core.Flyway;

/** What `flyway migrate` does: URL, user, password and folder are its arguments. */
class Migrate {
    public static void main(String[] args) {
        Flyway.configure().dataSource(args[0], args[1], args[2]).locations("filesystem:" + args[3]).load().migrate();
    }
}
