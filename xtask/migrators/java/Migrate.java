import org.flywaydb.core.Flyway;
import org.flywaydb.database.postgresql.PostgreSQLConfigurationExtension;

/** What `flyway migrate` does: URL, user, password and folder are its arguments. */
class Migrate {
    public static void main(String[] args) {
        var settings = Flyway.configure().dataSource(args[0], args[1], args[2]).locations("filesystem:" + args[3]);
        // As whoever builds indexes concurrently has to set it: they would wait for the transaction that holds the lock.
        settings.getConfigurationExtension(PostgreSQLConfigurationExtension.class).setTransactionalLock(false);
        settings.load().migrate();
    }
}
