// Starts Amazon's DynamoDB Local on 127.0.0.1 only: its own main class listens on every interface.
// Run by the store's behaviour suite as: java -Djava.library.path=lib -cp "lib/*" LoopbackDynamoDb.java PORT

import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

public class LoopbackDynamoDb {
    public static void main(String[] arguments) throws Exception {
        String[] options = {"-inMemory", "-disableTelemetry", "-port", arguments[0]};
        DynamoDBProxyServer proxy = ServerRunner.createServerFromCommandLineArgs(options);
        java.lang.reflect.Field field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        for (Connector connector : ((Server) field.get(proxy)).getConnectors()) {
            ((ServerConnector) connector).setHost("127.0.0.1");
        }
        proxy.start();
    }
}
